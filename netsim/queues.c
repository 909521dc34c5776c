#include "netsim/queues.h"

#include <inttypes.h>
#include <string.h>

static const char *const mark_names[] = {"transport", "never", "enqueue", "dequeue", NULL};
static const char *const full_names[] = {"transport", "drop", "trim", "trim_either", NULL};
static const char *const passing_names[] = {"auto", "memory", "switch", NULL};
enum passing { PASSING_AUTO, PASSING_MEMORY, PASSING_SWITCH };
static const char *const alpha_names[] = {"1/16", "1/8", "1/4", "1/2", "1", "2", "4", "8", "16", NULL};
#define ALPHA_LOG2_MIN (-4)
static const char *const grade_names[] = {"1B", "4KiB", "8KiB", "16KiB", "32KiB", "64KiB", "128KiB", NULL};
#define GRADE_LOG2_MIN 12 /* of the second one */

const struct param queue_rows[QUEUE_ROW_COUNT] = {
    PARAM_U64(struct scenario_queue, capacity_bytes, SIZE, "capacity", "0B", "0B", NULL,
              "of data at a switch port; 0B: as the transport wants it, else the fabric's"),
    PARAM_CHOICE(struct scenario_queue, full, "full", "transport", full_names,
                 "data that does not fit: drop; trim: the arriving packet is cut to its header; trim_either: by chance the "
                 "newest one in the queue (htsim)"),
    PARAM_U64(struct scenario_queue, trim_bytes, SIZE, "trim_size", "0B", "0B", "16383B",
              "what is left of a trimmed packet; 0B: its header"),
    PARAM_CHOICE(struct scenario_queue, mark, "ecn", "transport", mark_names, "where ECN marks are set"),
    PARAM_U64(struct scenario_queue, mark_low_bytes, SIZE, "ecn_low", "0B", "0B", NULL,
              "never marked below, with linear chance above; 0B: as the transport wants it"),
    PARAM_U64(struct scenario_queue, mark_high_bytes, SIZE, "ecn_high", "0B", "0B", NULL,
              "always marked above; 0B: as the transport wants it"),
    PARAM_U64(struct scenario_queue, xoff_bytes, SIZE, "xoff", "0B", "0B", NULL,
              "PFC: an input that holds more tells its link to stop; 0B: as the transport wants it"),
    PARAM_U64(struct scenario_queue, xon_bytes, SIZE, "xon", "0B", "0B", NULL,
              "PFC: and to go on when it holds no more than this; 0B: as the transport wants it"),
    PARAM_U64(struct scenario_queue, buffer_bytes, SIZE, "pfc_buffer", "0B", "0B", NULL,
              "PFC: what an input may hold; its xoff leaves the headroom of its link free (round trip of the cable at its "
              "rate, and three packets); 0B: xoff is the same for all"),
    PARAM_U64(struct scenario_queue, credit_bytes, SIZE, "credit", "0B", "0B", NULL,
              "buffer behind each link, sent into on credit; 0B: as the transport wants it"),
    PARAM_U64(struct scenario_queue, shared_bytes, SIZE, "shared", "0B", "0B", NULL,
              "buffer of a switch that its ports share; 0B: as the transport wants it"),
    PARAM_CHOICE(struct scenario_queue, alpha, "alpha", "1", alpha_names,
                 "a port may hold so many times what is free of the shared buffer (Choudhury, Hahne 1998)"),
    PARAM_BOOL(struct scenario_queue, has_lanes, "lanes", "yes",
               "virtual lanes where credits or pauses could close a circle: rings of a torus, regions of a dragonfly or HyperX"),
    PARAM_BOOL(struct scenario_queue, is_adaptive, "adaptive", "no",
               "switches take the least loaded of equal next hops, not the one that the entropy says"),
    PARAM_CHOICE(struct scenario_queue, grade, "adaptive_grade", "1B", grade_names,
                 "steps in which `adaptive` compares backlogs, as switches do in a few bands of quality (Junos: 8 by load and "
                 "queue); equals by entropy. By the byte, a flow at line rate finds free what its last packet left, and "
                 "stays there: on a permutation slower than spraying, which 16KiB is not"),
    PARAM_CHOICE(struct scenario_queue, passing, "hosts", "auto", passing_names,
                 "what hosts pass on waits in: memory: without bound, marks or trimming; switch: queues as a switch's; auto: "
                 "memory in servers, where a GPU stages for its NIC what came over scale-up links, else switch (chips with routers)"),
    PARAM_BOOL(struct scenario_queue, is_lossy, "lossy", "no", "no pauses and no credits, whatever the transport wants"),
};

static void put(uint64_t *to_bytes, uint64_t from_bytes)
{
    *to_bytes = from_bytes > 0 ? from_bytes : *to_bytes;
}

void queues_profile(const struct scenario_queue *queue, const struct transport *transport, const void *transport_values,
                    const struct transport_facts *facts, struct queue_profile *profile)
{
    *profile = queue_profile_plain;
    profile->trim_bytes = (uint32_t)(queue->trim_bytes > 0 ? queue->trim_bytes : facts->header_bytes);
    if (transport->queues != NULL) {
        transport->queues(transport_values, facts, profile);
    }
    struct queue_class *data = &profile->class[0];
    put(&data->capacity_bytes, queue->capacity_bytes);
    put(&data->mark_low_bytes, queue->mark_low_bytes);
    put(&data->mark_high_bytes, queue->mark_high_bytes);
    put(&data->xoff_bytes, queue->xoff_bytes);
    put(&data->xon_bytes, queue->xon_bytes);
    put(&data->credit_bytes, queue->credit_bytes);
    data->buffer_bytes = queue->buffer_bytes;
    data->mark = queue->mark > 0 ? (enum mark_point)(queue->mark - 1) : data->mark;
    data->full = queue->full > 0 ? (enum full_rule)(queue->full - 1) : data->full;
    data->trim_class = profile->class_count > 1 ? 1 : 0;
    if (queue->shared_bytes > 0) {
        profile->shared_bytes = queue->shared_bytes;
        profile->alpha_log2 = (int32_t)queue->alpha + ALPHA_LOG2_MIN;
    }
    profile->is_adaptive |= queue->is_adaptive;
    profile->grade_shift = queue->grade > 0 ? queue->grade - 1 + GRADE_LOG2_MIN : 0;
    if (queue->is_lossy) {
        data->xoff_bytes = data->xon_bytes = data->credit_bytes = 0;
    }
}

void queues_hosts(const struct scenario_queue *queue, const struct fabric *fabric, const struct queue_profile *switches,
                  struct queue_profile *hosts)
{
    bool is_staged = queue->passing == PASSING_AUTO ? fabric->server_hosts > 1 : queue->passing == PASSING_MEMORY;
    *hosts = *switches;
    for (uint32_t class = 0; is_staged && class < hosts->class_count; class++) {
        hosts->class[class].capacity_bytes = UINT64_MAX;
        hosts->class[class].full = FULL_DROP;
        hosts->class[class].mark = MARK_NEVER;
    }
    hosts->shared_bytes = is_staged ? 0 : hosts->shared_bytes;
}

/* ---- what would drop ---------------------------------------------------------------------------------------- */

static uint64_t lanes_of(const struct queue_profile *profile)
{
    return profile->lane_count > 1 ? profile->lane_count : 1;
}

/* What comes in by a port in one lane before it is held back. */
static uint64_t input_bytes_max(const struct queue_class *rule, const struct fabric *fabric, uint64_t packet_bytes,
                                uint32_t in_port)
{
    if (fabric->port_peer[in_port] == ID_NONE) {
        return 0;
    }
    uint64_t bytes = rule->credit_bytes > 0 ? rule->credit_bytes : UINT64_MAX;
    if (rule->xoff_bytes > 0) {
        uint64_t headroom_bytes = queue_headroom_bytes(fabric, in_port, packet_bytes);
        uint64_t paused_bytes = queue_xoff_bytes(rule, headroom_bytes) + headroom_bytes;
        bytes = paused_bytes < bytes ? paused_bytes : bytes;
    }
    return bytes;
}

uint64_t queues_need_bytes(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                           uint32_t port)
{
    const struct queue_class *rule = &profile->class[0];
    uint32_t node = fabric->port_node[port];
    uint64_t sum_bytes = 0;
    if (!queue_may_pause(fabric, node)) {
        return 0;
    }
    if (rule->xoff_bytes == 0 && rule->credit_bytes == 0) {
        return UINT64_MAX;
    }
    for (uint32_t in = fabric->port_first[node]; in < fabric->port_first[node + 1]; in++) {
        sum_bytes += in == port ? 0 : input_bytes_max(rule, fabric, packet_bytes, in);
    }
    return sum_bytes * lanes_of(profile); /* a packet may come in one lane and leave in another: inputs are held back lane by lane */
}

static uint64_t capacity_of(const struct queue_profile *profile, const struct fabric *fabric, uint32_t port)
{
    uint64_t capacity_bytes = profile->class[0].capacity_bytes;
    return capacity_bytes > 0 ? capacity_bytes : fabric->port_queue_bytes[port];
}

static enum status port_check(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                              uint32_t port, struct diag *diag)
{
    uint64_t capacity_bytes = capacity_of(profile, fabric, port);
    if (capacity_bytes < packet_bytes) { /* it would be repeated for ever */
        return diag_set(diag, STATUS_INPUT, "%s: queues of %" PRIu64 " B hold no packet of %" PRIu64 " B (packet.size); expected more",
                        fabric->name, capacity_bytes, packet_bytes);
    }
    uint64_t need_bytes = queues_need_bytes(profile, fabric, packet_bytes, port);
    if (need_bytes == UINT64_MAX || capacity_bytes >= need_bytes) {
        return STATUS_OK;
    }
    const char *what = profile->class[0].credit_bytes > 0 ? "credit" : "xoff and headroom";
    return diag_set(diag, STATUS_INPUT,
                    "%s: queues of %" PRIu64 " B drop packets although links are held back: port %u can get %" PRIu64
                    " B (%s of all other inputs); expected so much, 0B for no limit, or queue.lossy=yes",
                    fabric->name, capacity_bytes, port, need_bytes, what);
}

/* A port of a shared buffer may hold alpha times what is free, and one may get all that comes in. */
static enum status shared_check(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                                uint32_t node, struct diag *diag)
{
    const struct queue_class *rule = &profile->class[0];
    if (profile->shared_bytes == 0 || (rule->xoff_bytes == 0 && rule->credit_bytes == 0)) {
        return STATUS_OK;
    }
    double sum_bytes = 0, alpha = profile->alpha_log2 < 0 ? 1.0 / (1 << -profile->alpha_log2) : 1 << profile->alpha_log2;
    for (uint32_t in = fabric->port_first[node]; in < fabric->port_first[node + 1]; in++) {
        sum_bytes += (double)(input_bytes_max(rule, fabric, packet_bytes, in) * lanes_of(profile));
    }
    double need_bytes = sum_bytes * (1 + 1 / alpha) + (double)packet_bytes;
    if ((double)profile->shared_bytes >= need_bytes) {
        return STATUS_OK;
    }
    return diag_set(diag, STATUS_INPUT,
                    "%s: queue.shared of %" PRIu64 " B drops packets although links are held back: expected %.0f B at this "
                    "queue.alpha, or queue.lossy=yes", fabric->name, profile->shared_bytes, need_bytes);
}

static enum status rules_check(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                               struct diag *diag)
{
    const struct queue_class *rule = &profile->class[0];
    if (rule->credit_bytes > 0 && rule->credit_bytes < packet_bytes) {
        return diag_set(diag, STATUS_INPUT, "%s: credit for %" PRIu64 " B lets no packet of %" PRIu64 " B (packet.size) go; expected more",
                        fabric->name, rule->credit_bytes, packet_bytes);
    }
    if (rule->xoff_bytes > 0 && rule->xoff_bytes < packet_bytes) {
        return diag_set(diag, STATUS_INPUT, "%s: links stop at %" PRIu64 " B (xoff), before a packet of %" PRIu64 " B (packet.size) is in; expected more",
                        fabric->name, rule->xoff_bytes, packet_bytes);
    }
    if (rule->xoff_bytes > 0 && rule->xon_bytes > rule->xoff_bytes) {
        return diag_set(diag, STATUS_INPUT, "%s: links go on at %" PRIu64 " B (xon), above the %" PRIu64 " B at which they stop (xoff); expected less",
                        fabric->name, rule->xon_bytes, rule->xoff_bytes);
    }
    return STATUS_OK;
}

/* An input whose buffer is all headroom would never let its link go on. */
static enum status headroom_check(const struct queue_profile *profile, const struct fabric *fabric,
                                  uint64_t packet_bytes, uint32_t port, struct diag *diag)
{
    const struct queue_class *rule = &profile->class[0];
    if (rule->buffer_bytes == 0 || rule->xoff_bytes == 0 || fabric->port_peer[port] == ID_NONE ||
        !queue_may_pause(fabric, fabric->port_node[port])) {
        return STATUS_OK;
    }
    uint64_t headroom_bytes = queue_headroom_bytes(fabric, port, packet_bytes);
    if (rule->buffer_bytes >= headroom_bytes + packet_bytes) {
        return STATUS_OK;
    }
    return diag_set(diag, STATUS_INPUT,
                    "%s: queue.pfc_buffer of %" PRIu64 " B leaves no packet of %" PRIu64 " B beside the headroom of %" PRIu64
                    " B that the link into port %u needs; expected %" PRIu64 " B or more",
                    fabric->name, rule->buffer_bytes, packet_bytes, headroom_bytes, port, headroom_bytes + packet_bytes);
}

enum status queues_check(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                         struct diag *diag)
{
    enum status status = rules_check(profile, fabric, packet_bytes, diag);
    for (uint32_t port = 0; port < fabric->port_count && status == STATUS_OK; port++) {
        status = port_check(profile, fabric, packet_bytes, port, diag);
        status = status == STATUS_OK ? headroom_check(profile, fabric, packet_bytes, port, diag) : status;
    }
    for (uint32_t node = 0; node < fabric->node_count && status == STATUS_OK; node++) {
        status = queue_may_pause(fabric, node) ? shared_check(profile, fabric, packet_bytes, node, diag) : STATUS_OK;
    }
    return status;
}

/* Changes of region on the longest shortest way, from the regions of host 0 and of the host farthest from it. */
static uint32_t region_changes(const struct routes *routes)
{
    const struct fabric *fabric = routes->fabric;
    uint32_t most = 0;
    for (uint32_t dst = 1; dst < fabric->host_count; dst++) {
        uint32_t changes = 0;
        for (uint32_t node = 0, hops = 0; node != dst && hops < fabric->node_count; hops++) {
            struct port_set set = routes_next(routes, node, dst);
            uint32_t in_port = fabric->port_peer[fabric->port_first[node] + port_set_at(&set, 0)];
            changes += is_new_region(fabric, in_port);
            node = fabric->port_node[in_port];
        }
        most = changes > most ? changes : most;
    }
    return most;
}

/* Steps down in colour on the longest shortest way; where more than two colours were needed, ways differ and every step but
 * the last may be one. Sources of both colours: host 0 and its neighbour. */
static uint32_t descents(const struct routes *routes)
{
    const struct fabric *fabric = routes->fabric;
    uint32_t most = 0;
    for (uint32_t k = 0; k < 2; k++) {
        uint32_t src = k == 0 ? 0 : fabric->port_node[fabric->port_peer[fabric->port_first[0]]];
        for (uint32_t dst = 0; dst < fabric->host_count; dst++) {
            uint32_t downs = 0, hops = 0;
            bool is_two = true;
            for (uint32_t node = src; node != dst && hops < fabric->node_count; hops++) {
                struct port_set set = routes_next(routes, node, dst);
                uint32_t in_port = fabric->port_peer[fabric->port_first[node] + port_set_at(&set, 0)];
                node = fabric->port_node[in_port];
                downs += node != dst && is_descent(fabric, in_port);
                is_two &= fabric->node_colour[node] < 2;
            }
            downs = is_two || hops == 0 ? downs : hops - 1;
            most = downs > most ? downs : most;
        }
    }
    return most;
}

static uint32_t lanes_needed(const struct routes *routes, bool has_detours, enum lane_rule *rule)
{
    if (routes->fabric->port_ring != NULL) {
        *rule = has_detours ? LANES_RINGS_TWICE : LANES_RINGS;
        return has_detours ? 4 : 2;
    }
    if (routes->fabric->node_colour != NULL) {
        *rule = LANES_COLOURS;
        return descents(routes) * (has_detours ? 2 : 1) + 1 + has_detours;
    }
    *rule = routes->fabric->node_region != NULL ? LANES_REGIONS : LANES_NONE;
    return *rule == LANES_NONE ? 1 : region_changes(routes) * (has_detours ? 2 : 1) + 1;
}

enum status queues_lanes(const struct scenario_queue *queue, const struct routes *routes, bool has_detours,
                         struct queue_profile *profile, struct diag *diag)
{
    bool can_circle = false;
    for (uint32_t class = 0; class < profile->class_count; class++) {
        can_circle |= profile->class[class].credit_bytes > 0 || profile->class[class].xoff_bytes > 0;
    }
    if (!queue->has_lanes || !can_circle) {
        return STATUS_OK;
    }
    enum lane_rule rule;
    uint32_t lanes = lanes_needed(routes, has_detours, &rule), classes = profile->class_count;
    if (lanes * classes > CLASSES_MAX) {
        return diag_set(diag, STATUS_INPUT,
                        "%s: ways that no credit or pause can close to a circle need %u lanes of %u classes; there are %d "
                        "classes in all; expected routing.paths=minimal, rings in dimension order, or queue.lanes=no at the risk of a deadlock",
                        routes->fabric->name, lanes, classes, CLASSES_MAX);
    }
    for (uint32_t lane = 1; lane < lanes; lane++) {
        memcpy(&profile->class[lane * classes], profile->class, classes * sizeof profile->class[0]);
    }
    profile->class_count = lanes * classes;
    profile->lane_count = lanes;
    profile->lane_rule = rule;
    return STATUS_OK;
}

const struct engine_class *engine_class_for(const struct queue_profile *profile)
{
    (void)profile;
    return &engine_window;
}
