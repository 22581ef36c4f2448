// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "detrame/backend/in_double.hpp"
#include "detrame/layer/concept.hpp"
#include "detrame/robust/certified.hpp"
#include "detrame/robust/rounding.hpp"

namespace detrame::inline DETRAME_ABI {

/// How far what a layer computes is from its exact map f, wherever it is asked: for every sample x of numbers
/// of the scalar,                                                                                        (R1)
///
///   |f^(x) - f(x)|_2 <= relative |x|_2 + absolute,   and no number on the way exceeds range (|x|_2 + 1)
struct Deviation {
  double relative = 0, absolute = 0;
  double range = 1;
  bool may_refuse = false;  ///< the layer throws where it cannot keep to that
};

/// What is proved of the inference map of the layers that a recipe becomes: specialised for each recipe, with
///
///   lipschitz(backend, layer, theta) -> Certified<double>      |f(x) - f(x')|_2 <= it |x - x'|_2
///   deviation(backend, layer, theta) -> Certified<Deviation>   see there
///
/// for a layer by itself, and with `bound` and `advance` for what is made of layers, as network_bound.hpp
/// says. A layer names its recipe as FromRecipe. One of yours is certified once it does and this is
/// specialised.
template <class Recipe>
struct Guarantee;

namespace detail {

/// The guarantee of a layer, or nothing.
template <class L>
struct GuaranteeOf {};
template <class L>
  requires requires { typename L::FromRecipe; }
struct GuaranteeOf<L> {
  using type = Guarantee<typename L::FromRecipe>;
};

template <class L>
NoCertificate none_for(char const* what) {
  return {message(name_of<L>(), ": ", what)};
}

/// A Certified number that is one, from above: what is not finite proves nothing.
template <class L>
Certified<double> finite(double bound) {
  if (!std::isfinite(bound)) return none_for<L>("its parameters give no finite bound");
  return bound;
}
template <class L>
Certified<Deviation> finite(Deviation const& d) {
  if (!std::isfinite(d.relative) || !std::isfinite(d.absolute) || !std::isfinite(d.range))
    return none_for<L>("its parameters give no finite bound of rounding");
  return d;
}

}  // namespace detail

/// A Lipschitz constant of the inference map of a layer, in Euclidean norms of samples, from above; or why
/// there is none.                                                                                        (L3)
///
/// Requires  theta of the layer's shapes, else ShapeError.
/// Ensures   |f(x) - f(x')|_2 <= the constant |x - x'|_2 for the map f that the layer would compute without
///           rounding.
/// Tested    tests/robust/layer_bounds_test.cpp
template <LayerMaps L>
Certified<double> lipschitz(typename L::Backend& backend, L const& layer,
                            typename L::Parameters const& theta) {
  if constexpr (requires { detail::GuaranteeOf<L>::type::lipschitz(backend, layer, theta); })
    return detail::GuaranteeOf<L>::type::lipschitz(backend, layer, theta);
  else if constexpr (requires { detail::GuaranteeOf<L>::type::bound(backend, layer, theta); })
    return detail::GuaranteeOf<L>::type::bound(backend, layer, theta).lipschitz;
  else
    return detail::none_for<L>("no Lipschitz constant of this layer is known (see Guarantee)");
}

/// How far the layer's arithmetic can be from its exact map; or why that is not known.                   (R1)
///
/// Tested    tests/robust/layer_bounds_test.cpp
template <LayerMaps L>
Certified<Deviation> deviation(typename L::Backend& backend, L const& layer,
                               typename L::Parameters const& theta) {
  if constexpr (requires { detail::GuaranteeOf<L>::type::deviation(backend, layer, theta); }) {
    if (!detail::rounds_in_scalar(backend))
      return detail::none_for<L>("products round their factors to TF32");
    return detail::GuaranteeOf<L>::type::deviation(backend, layer, theta);
  } else {
    return detail::none_for<L>("no bound of this layer's rounding is known (see Guarantee)");
  }
}

namespace detail {

/// |v|_2 of a matrix' entries that stand in `times` places, from above.
inline double length_of(HostMatrix<double> const& v, Index times = 1) {
  return above(length_from_above(v.rows() * v.cols(), [&](Index i) { return v.data()[i]; }) *
               std::sqrt(static_cast<double>(times)));
}

}  // namespace detail

}  // namespace detrame::inline DETRAME_ABI
