/* What links lose by bit errors, and whether they repeat it (engine/error.h).
 *
 *     link budget of every lit link ─► bit error rate ─► FEC ─► chance of losing a frame ─┐
 *     links.frame_loss, or a bit error rate before or after the FEC, given by hand ───────┴─► engine ─► links.retry
 *
 * A rate given by hand holds for all links, or for those between switches, and replaces what the budget says there.
 *
 * Scope: every frame for itself, at the rate of its link, the same for the whole run.
 * Not modelled: bursts, rates that drift, links that are trained anew because they lose too much.
 * Checked against: rates by hand, every byte delivered once with every transport (tests/test_links.c). */
#ifndef PHOTONET_LINKS_H
#define PHOTONET_LINKS_H

#include "photonet/fabric.h"
#include "photonet/param.h"

struct scenario_links {
    double frame_loss, pre_fec_ber, post_fec_ber;
    uint32_t where, retry; /* choices */
    bool has_budget;
};
extern const struct param link_rows[];
#define LINK_ROW_COUNT 6

/* Fills fabric->port_frame_loss for full packets of so many bytes, in cells where ports have them; NULL where no link loses
 * any. */
enum status links_errors(const struct scenario_links *scenario, struct fabric *fabric, uint64_t packet_bytes,
                         const struct cell_shape *cells, struct diag *diag);

/* Whether the ends must be ready for losses all the same. */
bool links_can_lose(const struct scenario_links *scenario, const struct fabric *fabric);

/* How often a packet has to be sent, at the most likely, until it comes through and its answer is back, where both cross so
 * many links which all lose what the worst one does: 1 where none loses anything worth mentioning. Not beyond 2^20. */
uint64_t links_tries(const struct scenario_links *scenario, const struct fabric *fabric, uint32_t links);

#endif
