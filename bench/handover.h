// How near two threads are to each other.
#pragma once

namespace gi::bench {

/// Seconds until one thread sees what another wrote, the least mean of some thousand turns: on an AMD EPYC (Zen 4) about 40e-9
/// where their processors share a last cache, 160e-9 where they do not. Virtual processors may be moved from the one to the other
/// at any time.
double handover_seconds();

}  // namespace gi::bench
