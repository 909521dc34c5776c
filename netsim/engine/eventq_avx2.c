/* The event queue with 32-byte vectors. */
#ifdef __x86_64__
#define EVENTQ_BODY avx2
#define EVENTQ_LANES 8
#include "netsim/engine/eventq_body.h"
#endif
