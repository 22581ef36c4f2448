// SPDX-License-Identifier: Apache-2.0
#include <detrame/data/cifar.hpp>
#include <detrame/data/loader.hpp>
#include <detrame/data/normalise.hpp>
#include <detrame/data/svhn.hpp>
#include <detrame/detrame.hpp>
#include <detrame/io/parameters.hpp>

int version_in_b() { return DETRAME_VERSION; }
