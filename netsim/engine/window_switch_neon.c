/* Switches with 16-byte vectors, in plain vector types: runs on x86 as well, for tests. */
#define SWITCH_LANES 4
#define SWITCHES_SERVE switches_serve_neon
#define LAZY_SERVE lazy_serve_neon
#include "netsim/engine/window_switch_body.h"
#include "netsim/engine/window_lazy_body.h"
#include "netsim/engine/window_apart_body.h"
