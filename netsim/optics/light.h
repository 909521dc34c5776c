/* Link budgets of a whole fabric: from the parts of every link to its margin, the electricity of its lasers, and the
 * frames that it loses.
 *
 *     loss of a link = lane (laser, modulator, couplings) + fibre and connectors (port_loss_mdb of the port, and of its
 *                      peer where the way leads through an optical switch) + optical switch
 *
 * The lanes are those of the module at the sending port (PART_LIGHT in topologies/components.def); a port whose module
 * has none described is left out. Links of equal parts are computed once. */
#ifndef PHOTONET_LIGHT_H
#define PHOTONET_LIGHT_H

#include "netsim/optics/budget.h"
#include "photonet/fabric.h"

/* The budget of one lane of a port's link; false where its module has no lanes described. A fibre that waits for a planner
 * is taken as joined to one like it. */
bool light_budget(const struct fabric *fabric, uint32_t port, struct lane *lane, struct budget *budget);

/* Fills fabric->light (anew, where it is called again after ports were added). */
void light_evaluate(struct fabric *fabric);

/* STATUS_INPUT with the numbers where a link that is or may be joined has no margin; `at` is where to look: the line that
 * names the optical switch or the module (light_worst tells which part is worst). */
uint32_t light_worst(const struct fabric *fabric); /* port with the least margin, ID_NONE: nothing is lit */
enum status light_check(const struct fabric *fabric, struct origin at, struct diag *diag);

/* A link that loses so many frames of so many bytes, by a code whose words and interleaving say how others fare. */
struct frame_loss light_loss(const struct fec *fec, double rate, uint64_t frame_bytes);

/* Fills fabric->port_frame_loss for packets of so many bytes, in cells where ports have them. A rate below LIGHT_LOSS_LEAST
 * is taken as none: of the 10^10 packets and links of a large run it would show in one of 10^5. Stays NULL where all are. */
#define LIGHT_LOSS_LEAST 1e-15
void light_frame_loss(struct fabric *fabric, uint64_t packet_bytes, const struct cell_shape *cells);

/* The optical switch at which the fibre of a port ends, ID_NONE: none (an index of fabric->optical). */
uint32_t light_optical_of(const struct fabric *fabric, uint32_t port);

#endif
