// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "detrame/layer/concept.hpp"
#include "detrame/layer/start.hpp"

namespace detrame::inline DETRAME_ABI {

/// The role of a parameter whose layer is chosen at run time: what its own says, with its starts under the
/// policies that there are. To a role, one that derives from them is the one that it derives from.
template <class Scalar>
struct AnyRole : Role {
  using Policy = std::variant<ReluStart, RandomStart, TiedStart>;

  template <std::derived_from<Role> R>
  explicit AnyRole(R const& role)
      : Role(role), start_([role](HostMatrix<Scalar>& p, Random const& random, Policy const& policy) {
          std::visit([&](auto const& known) { role.start(p, random, known); }, policy);
        }) {}

  template <class P>
  void start(HostMatrix<Scalar>& p, Random const& random, P const& policy) const {
    static_assert(
        std::convertible_to<P const&, Policy>,
        "AnyParameters: a start policy is ReluStart, RandomStart or TiedStart, or derives from one");
    start_(p, random, policy);
  }

 private:
  std::function<void(HostMatrix<Scalar>&, Random const&, Policy const&)> start_;
};

/// The parameters of an AnyNetwork: a value, whose copies are deep. `visit` walks them as those of a layer,
/// so that `initialise`, `Sgd`, `to_host`, `assign_parameters` and the files of io/ take them.
///
/// Requires  values that are visited in step are parameters of one network, else DomainError.
template <Backend B>
class AnyParameters {
 public:
  AnyParameters() = default;
  template <class Theta>
    requires(!std::same_as<Theta, AnyParameters>)
  explicit AnyParameters(Theta theta) : held_(std::make_unique<Held<Theta>>(std::move(theta))) {}
  AnyParameters(AnyParameters const& other) : held_(other.held_ ? other.held_->copy() : nullptr) {}
  AnyParameters(AnyParameters&&) noexcept = default;
  AnyParameters& operator=(AnyParameters other) noexcept {
    held_ = std::move(other.held_);
    return *this;
  }
  ~AnyParameters() = default;

  template <class F, class Theta, class... Rest>
  static void visit(F&& f, Path const& path, Theta&& theta, Rest&&... rest) {
    (require_the_same(theta.held_.get(), rest.held_.get()), ...);
    if (!theta.held_) return;
    for (std::size_t i = 0; i < theta.held_->table.size(); ++i)
      f(path / theta.held_->table[i].path, theta.held_->table[i].role, theta.tensor(i), rest.tensor(i)...);
  }

  /// In the type of their network. DomainError, with the name of who asks, where it is another's.
  template <class Theta>
  Theta const& as(std::string const& who) const {
    return held<Theta>(who).theta;
  }
  template <class Theta>
  Theta& as(std::string const& who) {
    return held<Theta>(who).theta;
  }

 private:
  struct Entry {
    Path path;
    AnyRole<typename B::Scalar> role;
    Matrix<B>* tensor;
  };
  struct Holder {
    std::vector<Entry> table;  ///< in the order of visit
    virtual ~Holder() = default;
    virtual std::unique_ptr<Holder> copy() const = 0;
  };
  template <class Theta>
  struct Held final : Holder {
    Theta theta;
    explicit Held(Theta values) : theta(std::move(values)) {
      ::detrame::visit(
          [&](Path const& path, auto const& role, Matrix<B>& p) {
            this->table.push_back({path, AnyRole<typename B::Scalar>(role), &p});
          },
          theta);
    }
    std::unique_ptr<Holder> copy() const override { return std::make_unique<Held>(theta); }
  };

  template <class Theta>
  Held<Theta>& held(std::string const& who) const {
    auto* const held = dynamic_cast<Held<Theta>*>(held_.get());
    if (held == nullptr)
      throw DomainError(message(who, ": these are ", held_ ? "another network's" : "no",
                                " parameters; assign_parameters copies those of the same names and shapes"));
    return *held;
  }
  static void require_the_same(Holder const* theta, Holder const* other) {
    bool const same =
        theta == nullptr || other == nullptr ? theta == other : typeid(*other) == typeid(*theta);
    if (!same) throw DomainError("visit: these are parameters of different networks");
  }
  Matrix<B>& tensor(std::size_t i) { return *held_->table[i].tensor; }
  Matrix<B> const& tensor(std::size_t i) const { return *held_->table[i].tensor; }

  std::unique_ptr<Holder> held_;
};

/// The tape of an AnyNetwork. It is empty before the first forward, and that network's afterwards.
class AnyTape {
 public:
  /// For forward: made where the tape is empty. DomainError where it is another network's.
  template <class Tape>
  Tape& of(std::string const& who) {
    if (!held_) held_ = std::make_unique<Held<Tape>>();
    return as<Tape>(who);
  }
  template <class Tape>
  Tape& as(std::string const& who) const {
    auto* const held = dynamic_cast<Held<Tape>*>(held_.get());
    if (held == nullptr)
      throw DomainError(message(who, held_ ? ": the tape is another network's" : ": forward comes first"));
    return held->tape;
  }

 private:
  struct Holder {
    virtual ~Holder() = default;
  };
  template <class Tape>
  struct Held final : Holder {
    Tape tape{};
  };
  std::unique_ptr<Holder> held_;
};

}  // namespace detrame::inline DETRAME_ABI
