#include "topologies/chips.h"

uint32_t chips_hosts(const struct chips_values *values, const struct fabric_request *request)
{
    uint32_t hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
    return hosts > 0 ? hosts : BUILD_HOSTS_DEFAULT;
}

static enum status parts_find(struct chips *chips, const struct fabric_request *request, struct diag *diag)
{
    const struct chips_values *values = chips->values;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &chips->gpu},
        {"module", values->module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &chips->module},
        {"ocs", values->ocs, BUILD_CLASS(OCS), &chips->ocs},
        {"medium", values->medium, BUILD_CLASS(FIBRE), &chips->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

/* The circuit's way is halved between its ends, rounded up so that none is faster than asked for. */
static void half_set_up(struct chips *chips, const struct fabric_request *request)
{
    const struct chips_values *values = chips->values;
    const struct part_table *parts = request->parts;
    uint64_t ocs_ps = values->has_device_latency ? build_part_u64(parts, chips->ocs, PART_LATENCY_PS) : 0;
    uint64_t half_ps = build_length_ps(parts, chips->medium, values->fibre_length_m) + (ocs_ps + 1) / 2;
    chips->half = (struct build_link){
        .rate_bps = values->link_rate_bps,
        .delay_ps = values->link_delay_ps > 0 ? (values->link_delay_ps + 1) / 2 : half_ps,
        .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
        .has_device_latency = values->has_device_latency,
        .loss_mdb = build_length_loss_mdb(parts, chips->medium, values->fibre_length_m, 1),
    };
    chips->dark_ps = build_part_u64(parts, chips->ocs, PART_SETTLE_PS) +
                     build_part_u64(parts, chips->ocs, PART_RELOCK_PS) +
                     build_part_u64(parts, chips->ocs, PART_CONTROL_PS);
}

enum status chips_begin(struct chips *chips, const struct chips_values *values, uint32_t ports,
                        const struct fabric_request *request, struct fabric *fabric, struct diag *diag)
{
    *chips = (struct chips){.values = values, .ports = ports, .hosts = chips_hosts(values, request)};
    uint64_t all = (uint64_t)chips->hosts * ports;
    enum status status = parts_find(chips, request, diag);
    status = status == STATUS_OK ? build_size_check(request, (uint64_t)chips->hosts + 1, all, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&chips->build, request, fabric, diag, chips->hosts, (uint64_t)chips->hosts + 1, all);
    half_set_up(chips, request);
    struct build_node host = {NODE_HOST, chips->gpu, 0, values->is_cut_through, values->forward_latency_ps};
    struct build_node box = {NODE_OPTICAL, chips->ocs, 1, false, 0};
    for (uint32_t i = 0; i < chips->hosts; i++) {
        build_node(&chips->build, &host, ports);
    }
    build_node(&chips->build, &box, 0);
    return STATUS_OK;
}

static struct build_end end_of(const struct chips *chips, uint32_t host, uint32_t place)
{
    return (struct build_end){.port = host * chips->ports + place, .module = chips->module};
}

void chips_join(struct chips *chips, uint32_t a, uint32_t place_a, uint32_t b, uint32_t place_b)
{
    struct build_end left = end_of(chips, a, place_a), right = end_of(chips, b, place_b);
    struct build_link link = chips->half;
    link.delay_ps *= 2;
    build_join(&chips->build, &link, &left, &right);
}

void chips_end(struct chips *chips, struct fabric *fabric, bool is_switched)
{
    const struct fabric_request *request = chips->build.request;
    uint32_t *ports = arena_array(request->arena, fabric->port_count, uint32_t), count = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct build_end end = {.port = port, .module = chips->module};
        bool is_free = fabric->port_peer[port] == ID_NONE;
        if (is_free || is_switched) {
            ports[count++] = port;
        }
        if (is_free) {
            build_fibre(&chips->build, &chips->half, &end);
        }
    }
    build_end(&chips->build);
    struct optical *optical = arena_one(request->arena, struct optical);
    *optical = (struct optical){
        .node = chips->hosts,
        .part_id = chips->ocs,
        .settle_ps = build_part_u64(request->parts, chips->ocs, PART_SETTLE_PS),
        .relock_ps = build_part_u64(request->parts, chips->ocs, PART_RELOCK_PS),
        .control_ps = build_part_u64(request->parts, chips->ocs, PART_CONTROL_PS),
        .port_count = count,
        .port = ports,
    };
    fabric->optical = optical;
    fabric->optical_count = 1;
}
