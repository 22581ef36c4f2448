// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks what host and device compile alike: the formulas, views and counter-based random numbers.
#if defined(__CUDACC__)
#define DETRAME_HOST_DEVICE __host__ __device__
#else
#define DETRAME_HOST_DEVICE
#endif
