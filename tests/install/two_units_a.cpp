// SPDX-License-Identifier: Apache-2.0
#include <detrame/data/idx.hpp>
#include <detrame/detrame.hpp>

int version_in_b();

int main() { return version_in_b() == DETRAME_VERSION ? 0 : 1; }
