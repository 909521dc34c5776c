/* Switches with 32-byte vectors. */
#ifdef __x86_64__
#define SWITCH_LANES 8
#define SWITCHES_SERVE switches_serve_avx2
#define LAZY_SERVE lazy_serve_avx2
#include "netsim/engine/window_switch_body.h"
#include "netsim/engine/window_lazy_body.h"
#include "netsim/engine/window_apart_body.h"
#endif
