/* Wall clock, for progress and for the wall_s of a result; nothing simulated ever depends on it. */
#ifndef PHOTONET_BASE_CLOCK_H
#define PHOTONET_BASE_CLOCK_H

/* Seconds since an arbitrary start; never runs backwards. */
double wall_seconds(void);

#endif
