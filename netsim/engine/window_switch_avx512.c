/* Switches with 64-byte vectors and masks. */
#ifdef __x86_64__
#define SWITCH_LANES 16
#define SWITCHES_SERVE switches_serve_avx512
#define LAZY_SERVE lazy_serve_avx512
#include "netsim/engine/window_switch_body.h"
#include "netsim/engine/window_lazy_body.h"
#include "netsim/engine/window_apart_body.h"
#endif
