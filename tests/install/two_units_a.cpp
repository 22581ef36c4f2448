// SPDX-License-Identifier: Apache-2.0
#include <detrame/data/cifar.hpp>
#include <detrame/data/loader.hpp>
#include <detrame/data/normalise.hpp>
#include <detrame/data/svhn.hpp>
#include <detrame/detrame.hpp>
#include <detrame/io/parameters.hpp>

int version_in_b();

int main() { return version_in_b() == DETRAME_VERSION ? 0 : 1; }
