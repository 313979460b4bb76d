// How near two threads are to each other.
#pragma once

namespace gi::bench {

/// Seconds until one thread sees what another wrote, the mean of some thousand times: about 30e-9 where their processors share a
/// last cache, 150e-9 where they do not. Virtual processors may be moved from the one to the other at any time.
double handover_seconds();

}  // namespace gi::bench
