/* Frames that a link loses by bit errors that its FEC does not mend, and links that repeat them. Both engines use it.
 *
 *      frame    ████ ✗ ─────────────────────► ████ ✗ ────────────────────► ████
 *               service   link there and back          ...again              carried: the port is free
 *                              ▲ behind it nothing else gets through: the order is kept
 *
 * A frame that starts is lost with the chance of its link (struct frame_loss of photonet/fabric.h), drawn by (seed, link,
 * number of the packet on the link): equal whatever else happens. Without repeats it is gone, and never takes the buffer
 * behind the link; the ends must find out. With repeats (engine_config.links_repeat: the link-level retry of UEC 1.0, of
 * PCIe and CXL, of Slingshot) the receiver throws away what follows the gap and asks for it, and the sender goes back to the
 * lost frame: the port is busy for the time of the frame and of the link's round trip with every try that fails, and each try
 * is drawn anew. After LINK_REPEATS_MAX of them the link gives the frame up.
 *
 * Scope: data, acknowledgements, trimmed packets. A frame that was repeated is handed over whole, at a cut-through switch too.
 * Not modelled: loss of what goes back over a link, pauses, credits and the requests to repeat: they are a codeword or less,
 * credits are absolute counts that the next one mends (InfiniBand, UEC CBFC), and pauses are repeated before they expire; a
 * lost one would shift times and lose nothing. Frames behind the lost one which the receiver throws away: their time is in
 * the round trip, their bytes are not counted. The end of the replay buffer, and time-outs: a gap is found with the
 * end of the lost frame. A link whose gate opens and closes does not repeat, as its ends do not stay joined. Loss of light,
 * bursts of errors.
 * Checked against: closed forms (tests/test_engine_error.c), one engine against the other (tests/test_engine_window.c). */
#ifndef PHOTONET_ENGINE_ERROR_H
#define PHOTONET_ENGINE_ERROR_H

#include "netsim/base/rng.h"
#include "netsim/engine/engine.h"

#define LINK_REPEATS_MAX 64 /* then a link would be trained anew; at an even chance 3e-20 of all frames */

/* Of a packet of that size, in units of 2^-64. */
static inline uint64_t frame_loss_chance(const struct frame_loss *loss, uint64_t bytes)
{
    uint64_t bits = loss->bits_more + 8 * bytes;
    bits = bits > loss->bits_min ? bits : loss->bits_min;
    unsigned __int128 chance = (unsigned __int128)loss->chance * bits / loss->bits_full;
    return chance < UINT64_MAX ? (uint64_t)chance : UINT64_MAX;
}

/* There and back. */
static inline uint64_t link_round_ps(const struct fabric *fabric, uint32_t port)
{
    return link_delay_ps(fabric, port) + link_delay_ps(fabric, fabric->port_peer[port]);
}

/* How often a packet, the number-th of the port, fails; stops after fails_max of them. */
static inline uint32_t link_fails(uint64_t seed, uint32_t port, uint64_t number, uint64_t chance, uint32_t fails_max)
{
    uint32_t fails = 0;
    while (fails < fails_max && rng_draw(seed, RNG_ERROR ^ port, number << 7 | fails) < chance) {
        fails++;
    }
    return fails;
}

#endif
