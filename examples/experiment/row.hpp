// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "detrame/network/any.hpp"
#include "detrame/network/zoo/certified_net.hpp"
#include "detrame/network/zoo/deep_dictionary.hpp"
#include "detrame/network/zoo/plain_net.hpp"
#include "detrame/network/zoo/res_net.hpp"
#include "network.hpp"
#include "protocol.hpp"

namespace experiment {

/// The families of networks.txt, as recipes of an activation A.
template <int depth, class A, int classes>
struct PlainNetOf;
template <class A, int classes>
struct PlainNetOf<3, A, classes> : std::type_identity<PlainNet3<A, classes>> {};
template <class A, int classes>
struct PlainNetOf<6, A, classes> : std::type_identity<PlainNet6<A, classes>> {};
template <class A, int classes>
struct PlainNetOf<9, A, classes> : std::type_identity<PlainNet9<A, classes>> {};
template <class A, int classes>
struct PlainNetOf<12, A, classes> : std::type_identity<PlainNet12<A, classes>> {};

template <int depth, class Codes, int classes>
struct DeepDictionaryOf;
template <class Codes, int classes>
struct DeepDictionaryOf<3, Codes, classes> : std::type_identity<DeepDictionary3<Codes, classes>> {};
template <class Codes, int classes>
struct DeepDictionaryOf<4, Codes, classes> : std::type_identity<DeepDictionary4<Codes, classes>> {};
template <class Codes, int classes>
struct DeepDictionaryOf<9, Codes, classes> : std::type_identity<DeepDictionary9<Codes, classes>> {};

/// Codes of a deep dictionary: exact ones, or T updates.
template <class A>
struct CodesOf : std::type_identity<ExactCodes> {};
template <int T>
struct CodesOf<DeTraMe<T>> : std::type_identity<FreedCodes<T>> {};

/// Families of networks.txt, by their names there.
struct plainnet {
  template <class A, int depth, int, int classes>
  using Recipe = typename PlainNetOf<depth, A, classes>::type;
};
struct resnet {
  template <class A, int depth, int, int classes>
  using Recipe = ResNet<A, depth, classes>;
};
struct wideresnet {
  template <class A, int depth, int widen, int classes>
  using Recipe = WideResNet<A, depth, widen, classes>;
};
struct deep_dictionary {
  template <class A, int depth, int, int classes>
  using Recipe = typename DeepDictionaryOf<depth, typename CodesOf<A>::type, classes>::type;
};
template <int depth, int widen, int classes>
struct CertifiedNetOf;
template <int widen, int classes>
struct CertifiedNetOf<2, widen, classes> : std::type_identity<CertifiedNet2<16 * widen, classes>> {};
template <int widen, int classes>
struct CertifiedNetOf<3, widen, classes> : std::type_identity<CertifiedNet3<16 * widen, classes>> {};
struct certified {
  template <class, int depth, int widen, int classes>
  using Recipe = typename CertifiedNetOf<depth, widen, classes>::type;
};
/// With a convolution in place of each Q-metric ReLU.
template <class Family>
struct deepened {
  template <class, int depth, int widen, int classes>
  using Recipe = typename Family::template Recipe<Deepened, depth, widen, classes>;
};
using deepened_plainnet = deepened<plainnet>;
using deepened_resnet = deepened<resnet>;

/// Makes a network of a family at a place, of its backend.
template <class Family, class Net>
std::unique_ptr<HostNetwork> make(Place const& place) {
  constexpr Manner manner = std::is_same_v<Family, certified>
                                ? Manner{protocol::certified_loss(Net::input), certified_values}
                                : Manner{SoftmaxCrossEntropy(), deep_dictionary_values};
  return on_backend(AnyNetwork("the network", Net()), place, manner);
}

/// f(entry, std::type_identity<Net>()) for a row's network of each T, entered where it is not yet.
template <Backend B, class Family, int depth, int widen, Shape shape, int classes, int... T, class F>
void each_network(std::vector<Entry>& all, std::string_view family, F const& f) {
  auto const entry = [&](int steps) -> Entry& {
    for (Entry& e : all)
      if (e.family == family && e.depth == depth && e.widen == widen && e.shape == shape &&
          e.classes == classes && e.steps == steps)
        return e;
    return all.emplace_back(Entry{family, depth, widen, shape, classes, steps, nullptr, nullptr, nullptr});
  };
  auto const one = [&]<int steps>(std::integral_constant<int, steps>) {
    using A = std::conditional_t<steps == 0, Plain, DeTraMe<steps>>;
    using Net = Bind<typename Family::template Recipe<A, depth, widen, classes>, shape, B>;
    static_assert(Net::output == Shape{classes}, "networks.txt: a network must return one score a class");
    f(entry(steps), std::type_identity<Net>());
  };
  (one(std::integral_constant<int, T>()), ...);
}

/// How a row's networks are made on one more backend.
template <Backend B, class Family, int depth, int widen, Shape shape, int classes, int... T>
void add(std::vector<Entry>& all, std::string_view family, auto Entry::* maker) {
  each_network<B, Family, depth, widen, shape, classes, T...>(
      all, family,
      [&]<class Net>(Entry& entry, std::type_identity<Net>) { entry.*maker = &make<Family, Net>; });
}

}  // namespace experiment
