// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <bit>

#include "detrame/core/matrix_view.hpp"

/// A register of a few scalars, through Eigen's packets: SSE, AVX, AVX-512 or NEON by the compiler's flags
/// alone. Together with team.hpp and cholesky.hpp this is all that touches that internal interface
/// (docs/decisions/0005).
namespace detrame::inline DETRAME_ABI::detail {

template <class Scalar>
using Packet = typename Eigen::internal::packet_traits<Scalar>::type;

/// Scalars of a packet.
template <class Scalar>
inline constexpr Index lanes = Eigen::internal::unpacket_traits<Packet<Scalar>>::size;

/// Whether there are 32 registers for packets, or 16.
inline constexpr bool many_registers = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32;

/// A packet in a register. Without it g++ reads what several multiply-adds share from memory in each of them,
/// and loads, not arithmetic, set the pace.
template <class P>
[[gnu::always_inline]] inline P in_register(P p) {
#if defined(__GNUC__) && defined(__x86_64__) && defined(__AVX512F__)
  asm("" : "+v"(p));
#elif defined(__GNUC__) && defined(__x86_64__)
  asm("" : "+x"(p));
#endif
  return p;
}

template <class Scalar>
[[gnu::always_inline]] inline Packet<Scalar> load(Scalar const* p) {
  return Eigen::internal::ploadu<Packet<Scalar>>(p);
}
/// The first n scalars, then zeros.
template <class Scalar>
Packet<Scalar> load(Scalar const* p, Index n) {
  alignas(64) Scalar entries[lanes<Scalar>] = {};
  for (Index l = 0; l < n; ++l) entries[l] = p[l];
  return load(entries);
}
/// n scalars, `stride` apart, then zeros.
template <class Scalar>
Packet<Scalar> gather(Scalar const* p, Index stride, Index n) {
  alignas(64) Scalar entries[lanes<Scalar>] = {};
  for (Index l = 0; l < n; ++l) entries[l] = p[l * stride];
  return load(entries);
}
template <class Scalar>
[[gnu::always_inline]] inline void store(Scalar* p, Packet<Scalar> v) {
  Eigen::internal::pstoreu(p, v);
}
template <class Scalar>
[[gnu::always_inline]] inline Packet<Scalar> broadcast(Scalar s) {
  return Eigen::internal::pset1<Packet<Scalar>>(s);
}
/// a b + c, rounded once where the machine can.
template <class P>
[[gnu::always_inline]] inline P multiply_add(P a, P b, P c) {
  return Eigen::internal::pmadd(a, b, c);
}
template <class P>
[[gnu::always_inline]] inline P add(P a, P b) {
  return Eigen::internal::padd(a, b);
}
template <class P>
[[gnu::always_inline]] inline P subtract(P a, P b) {
  return Eigen::internal::psub(a, b);
}
template <class P>
[[gnu::always_inline]] inline P multiply(P a, P b) {
  return Eigen::internal::pmul(a, b);
}
template <class P>
[[gnu::always_inline]] inline P magnitude(P a) {
  return Eigen::internal::pabs(a);
}
/// The larger one; either where one is NaN.
template <class P>
[[gnu::always_inline]] inline P larger(P a, P b) {
  return Eigen::internal::pmax(a, b);
}
/// Whether a comparison holds in some lane. As floats, for which Eigen has this in one instruction.
template <class P>
[[gnu::always_inline]] inline bool any(P mask) {
  if constexpr (sizeof(P) == sizeof(Packet<float>) && lanes<float> > 1)
    return Eigen::internal::predux_any(std::bit_cast<Packet<float>>(mask));
  else
    return Eigen::internal::predux_any(mask);
}
/// Whether some a_l >= b_l.
template <class P>
[[gnu::always_inline]] inline bool any_at_least(P a, P b) {
  return any(Eigen::internal::pcmp_le(b, a));
}
template <class P>
[[gnu::always_inline]] inline bool any_negative(P a) {
  return any(Eigen::internal::pcmp_lt(a, Eigen::internal::pzero(a)));
}
/// Whether some a_l or b_l is not 0; NaN counts.
template <class P>
[[gnu::always_inline]] inline bool any_nonzero(P a, P b) {
  auto const nonzero = [](P p) {
    return Eigen::internal::pcmp_lt_or_nan(Eigen::internal::pzero(p), magnitude(p));
  };
  return any(Eigen::internal::por(nonzero(a), nonzero(b)));
}
template <class P>
[[gnu::always_inline]] inline auto sum_of_lanes(P a) {
  return Eigen::internal::predux(a);
}
template <class P>
[[gnu::always_inline]] inline auto largest_lane(P a) {
  return Eigen::internal::predux_max(a);
}

}  // namespace detrame::inline DETRAME_ABI::detail
