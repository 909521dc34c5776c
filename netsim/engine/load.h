/* How full a link is, as a switch tells it to the packets that pass (HPCC-PINT: Ben Basat et al., SIGCOMM 2020; Li et al.,
 * SIGCOMM 2019).
 *
 *     busy = bytes in flight of a link over a period T, as time: U * T
 *     at each departure, dt = min(time since the last one, T), q = bytes left in the queue, as time:
 *         busy = busy * (T - dt) / T  +  q * dt / T  +  time that the packet before took
 *     the packet keeps the largest U of its way, as a code of six bits:
 *
 *         code = eeemmm      U = (8 + mmm) * 2^eee / 32      0.25, 0.28 .. 1, 1.125 .. 60
 *
 * A value between two codes becomes either by chance, in proportion, so that the mean of what is told is right. Less than 0.25
 * is told as 0.25: HPCC's target is 0.95, and below it the increase does not depend on how far.
 * Who serves queues with load_period_ps > 0 calls load_depart for every packet that starts on a port of a switch, in the
 * order of their starts, and load_stamp for data packets. */
#ifndef PHOTONET_LOAD_H
#define PHOTONET_LOAD_H

#include <stdint.h>

struct port_load {
    uint64_t busy_ps, since_ps;
    uint64_t packet_ps; /* of the last one to leave, not yet counted */
};

#define LOAD_CODE_MAX 63u
#define LOAD_ONE 1024 /* load_of_code: U in 2^-10 */

static inline uint64_t load_of_code(uint32_t code)
{
    return (uint64_t)(8 + (code & 7)) << ((code >> 3) + 5);
}

/* A packet that takes `packet_ps` starts now and leaves `queue_ps` of others behind. */
static inline void load_depart(struct port_load *load, uint64_t period_ps, uint64_t queue_ps, uint64_t packet_ps,
                               uint64_t now_ps)
{
    uint64_t passed_ps = now_ps - load->since_ps < period_ps ? now_ps - load->since_ps : period_ps;
    unsigned __int128 sum = (unsigned __int128)load->busy_ps * (period_ps - passed_ps);
    sum += (unsigned __int128)queue_ps * passed_ps;
    load->busy_ps = (uint64_t)(sum / period_ps) + load->packet_ps;
    load->since_ps = now_ps;
    load->packet_ps = packet_ps;
}

static inline uint32_t load_code(const struct port_load *load, uint64_t period_ps, uint64_t draw)
{
    uint64_t u = (uint64_t)(((unsigned __int128)load->busy_ps << 16) / period_ps); /* 2^-16 */
    if (u < UINT64_C(1) << 14) {
        return 0;
    }
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(u) - 14;
    if (octave > 7) {
        return LOAD_CODE_MAX;
    }
    uint32_t bits = octave + 11; /* below the three of the code */
    uint32_t code = octave << 3 | (uint32_t)(u >> bits & 7);
    uint64_t rest = u & ((UINT64_C(1) << bits) - 1);
    code += (draw >> (64 - bits)) < rest;
    return code < LOAD_CODE_MAX ? code : LOAD_CODE_MAX;
}

#endif
