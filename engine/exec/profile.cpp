#include "engine/exec/profile.h"

#include <algorithm>

namespace gi {
namespace {

double bytes_of(const kernels::Layout& l) {
  double bytes = static_cast<double>(kernels::size_of(l.dtype)) * static_cast<double>(l.lanes);
  for (int i = 0; i < l.rank; ++i)
    if (l.strides[i] != 0) bytes *= static_cast<double>(l.dims[i]);
  return bytes;
}

}  // namespace

double step_bytes(const Plan::Step& step) {
  double bytes = 0;
  for (auto o = step.in.begin(); o != step.in.end(); ++o)
    if (std::none_of(step.in.begin(), o, [&](const Plan::Operand& p) { return p.memory == o->memory && p.offset == o->offset; }))
      bytes += bytes_of(o->layout);
  for (const Plan::Operand& o : step.out) bytes += bytes_of(o.layout);
  return bytes;
}

double least_seconds(const kernels::Ceilings& ceilings, const Plan::Step& step) {
  return kernels::least_seconds(ceilings, step.flops, *step.kernel, step_bytes(step));
}

Profile::Profile(const Plan& plan) : plan_(&plan), setup_(plan.setup().size()), iteration_(plan.iteration().size()) {
  for (auto& list : events_) list.reserve(iteration_.size() + 1);
}

std::vector<Profile::Event> Profile::events() const {
  std::vector<Event> all = events_[(runs_.calls + 1) % 2];
  all.insert(all.end(), events_[runs_.calls % 2].begin(), events_[runs_.calls % 2].end());
  return all;
}

void Profile::add(const Event& event) {
  const std::span<const Plan::Step> setup = plan_->setup(), iteration = plan_->iteration();
  const bool once = event.step >= setup.data() && event.step < setup.data() + setup.size();
  Total& total = event.step == nullptr ? runs_
                 : once                ? setup_[event.step - setup.data()]
                                       : iteration_[event.step - iteration.data()];
  const double seconds = std::chrono::duration<double>(event.end - event.begin).count();
  total.seconds += seconds;
  total.best = std::min(total.best, seconds);
  ++total.calls;
}

Profile::Timer::Timer(Profile* profile, const Plan::Step* step) : profile_(profile), event_{.step = step} {
  if (profile_ == nullptr) return;
  if (step == nullptr) profile_->events_[(profile_->runs_.calls + 1) % 2].clear();
  event_.begin = Clock::now();
}

Profile::Timer::~Timer() {
  if (profile_ == nullptr) return;
  event_.end = Clock::now();
  profile_->events_[(profile_->runs_.calls + 1) % 2].push_back(event_);
  profile_->add(event_);
}

}  // namespace gi
