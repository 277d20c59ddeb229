// ProcessObserver: who hears what a guest says of itself through the import module "weft". Called inside the guest's host call: quick, no parking.
#pragma once

#include <string_view>

namespace weft::process {

class ProcessObserver {
 public:
  virtual ~ProcessObserver() = default;
  // weft.progress: 0 … 1 if the guest keeps to it; the text is the guest's, any bytes.
  virtual void progress(double fraction, std::string_view text) noexcept = 0;
  // weft.acknowledge_stop
  virtual void acknowledged() noexcept = 0;
};

}  // namespace weft::process
