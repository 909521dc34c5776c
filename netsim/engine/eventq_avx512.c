/* The event queue with 64-byte vectors and masks. */
#ifdef __x86_64__
#define EVENTQ_BODY avx512
#define EVENTQ_LANES 16
#include "netsim/engine/eventq_body.h"
#endif
