#include "topologies/build.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void allocate_ports(struct build *build, uint64_t count)
{
    struct arena *arena = build->request->arena;
    struct fabric *fabric = build->fabric;
    build->port_node = arena_array(arena, count, uint32_t);
    build->port_part = arena_array(arena, count, uint32_t);
    build->port_adapter = arena_array(arena, count, uint32_t);
    build->port_loss_mdb = arena_array(arena, count, uint32_t);
    build->rate_bps = arena_array(arena, count, uint64_t);
    build->port_queue_bytes = arena_array(arena, count, uint64_t);
    fabric->port_peer = arena_array(arena, count, uint32_t);
    fabric->propagation_ps = arena_array(arena, count, uint64_t);
    fabric->device_ps = arena_array(arena, count, uint64_t);
    fabric->port_up_ps = arena_array(arena, count, uint64_t);
    memset(fabric->port_peer, 0xff, count * sizeof *fabric->port_peer);
}

static void allocate_nodes(struct build *build, uint64_t count)
{
    struct arena *arena = build->request->arena;
    build->node_kind = arena_array(arena, count, uint8_t);
    build->node_cut_through = arena_array(arena, count, uint8_t);
    build->node_tier = arena_array(arena, count, uint8_t);
    build->node_part = arena_array(arena, count, uint32_t);
    build->node_latency_ps = arena_array(arena, count, uint64_t);
    build->port_first = arena_array(arena, count + 1, uint32_t);
}

enum status build_size_check(const struct fabric_request *request, uint64_t node_count, uint64_t port_count,
                             struct diag *diag)
{
    return node_count <= BUILD_PORTS_MAX && port_count <= BUILD_PORTS_MAX
               ? STATUS_OK
               : diag_input(diag, request->at,
                            "%" PRIu64 " nodes with %" PRIu64 " ports are too many; expected at most %u of each",
                            node_count, port_count, BUILD_PORTS_MAX);
}

void build_begin(struct build *build, const struct fabric_request *request, struct fabric *fabric,
                 struct diag *diag, uint32_t host_count, uint64_t node_count, uint64_t port_count)
{
    assert(node_count < ID_NONE && port_count < ID_NONE);
    *build = (struct build){.request = request, .fabric = fabric, .diag = diag};
    fabric->arena = request->arena;
    fabric->parts = request->parts;
    fabric->host_count = host_count;
    fabric->node_count = (uint32_t)node_count;
    fabric->port_count = (uint32_t)port_count;
    allocate_nodes(build, node_count);
    allocate_ports(build, port_count);
}

uint32_t build_node(struct build *build, const struct build_node *node, uint32_t port_count)
{
    uint32_t id = build->node_count++;
    assert(id < build->fabric->node_count);
    build->node_kind[id] = (uint8_t)node->kind;
    build->node_part[id] = node->part;
    build->node_tier[id] = node->tier;
    build->node_cut_through[id] = node->is_cut_through;
    build->node_latency_ps[id] = node->latency_ps;
    build->port_first[id] = build->port_count;
    for (uint32_t i = 0; i < port_count; i++) {
        build->port_node[build->port_count++] = id;
    }
    build->port_first[id + 1] = build->port_count;
    assert(build->port_count <= build->fabric->port_count);
    return id;
}

static void port_set_up(struct build *build, const struct build_link *link, const struct build_end *end)
{
    uint32_t port = end->port;
    build->rate_bps[port] = link->rate_bps;
    build->port_loss_mdb[port] = link->loss_mdb;
    build->port_queue_bytes[port] = link->queue_bytes;
    build->port_part[port] = end->module;
    build->port_adapter[port] = end->adapter;
    build->fabric->propagation_ps[port] = link->delay_ps;
}

static uint64_t end_latency_ps(const struct build *build, const struct build_end *end)
{
    return build_part_u64(build->request->parts, end->module, PART_LATENCY_PS) + end->adapter_ps;
}

static uint64_t end_fec_ps(const struct build *build, const struct build_end *end)
{
    return build_part_u64(build->request->parts, end->module, PART_FEC_PS);
}

/* Encoding and decoding are paid once a link; where the ends differ, the slower one decides. */
static uint64_t link_device_ps(const struct build *build, const struct build_link *link,
                               const struct build_end *left, const struct build_end *right)
{
    uint64_t left_fec_ps = end_fec_ps(build, left), right_fec_ps = end_fec_ps(build, right);
    uint64_t fec_ps = left_fec_ps > right_fec_ps ? left_fec_ps : right_fec_ps;
    return link->has_device_latency ? end_latency_ps(build, left) + end_latency_ps(build, right) + fec_ps : 0;
}

void build_join(struct build *build, const struct build_link *link, const struct build_end *left,
                const struct build_end *right)
{
    struct fabric *fabric = build->fabric;
    assert(fabric->port_peer[left->port] == ID_NONE && fabric->port_peer[right->port] == ID_NONE);
    port_set_up(build, link, left);
    port_set_up(build, link, right);
    fabric->port_peer[left->port] = right->port;
    fabric->port_peer[right->port] = left->port;
    uint64_t device_ps = link_device_ps(build, link, left, right);
    fabric->device_ps[left->port] = device_ps;
    fabric->device_ps[right->port] = device_ps;
}

void build_fibre(struct build *build, const struct build_link *link, const struct build_end *end)
{
    port_set_up(build, link, end);
    build->fabric->device_ps[end->port] =
        link->has_device_latency ? end_latency_ps(build, end) + end_fec_ps(build, end) / 2 : 0;
}

struct route *build_routes(struct build *build)
{
    build->route = arena_array(build->request->arena, build->fabric->node_count, struct route);
    return build->route;
}

void build_end(struct build *build)
{
    struct fabric *fabric = build->fabric;
    assert(build->node_count == fabric->node_count && build->port_count == fabric->port_count);
    fabric->node_kind = build->node_kind;
    fabric->port_first = build->port_first;
    fabric->node_latency_ps = build->node_latency_ps;
    fabric->node_cut_through = build->node_cut_through;
    fabric->node_part = build->node_part;
    fabric->node_tier = build->node_tier;
    fabric->port_node = build->port_node;
    fabric->rate_bps = build->rate_bps;
    fabric->port_loss_mdb = build->port_loss_mdb;
    fabric->port_part = build->port_part;
    fabric->port_adapter = build->port_adapter;
    fabric->port_queue_bytes = build->port_queue_bytes;
    fabric->route = build->route;
}

struct origin build_origin(const struct fabric_request *request, const char *key)
{
    for (size_t i = request->key_count; i-- > 0;) {
        if (strcmp(request->keys[i].key, key) == 0) {
            return request->keys[i].at;
        }
    }
    return request->at;
}

static void class_names(uint32_t classes, char *text, size_t text_bytes)
{
    size_t used = 0;
    for (uint32_t class = 0; class < PART_CLASS_COUNT && used < text_bytes; class++) {
        if ((classes >> class & 1) != 0) {
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used > 0 ? ", " : "",
                                     part_class_name((enum part_class)class));
        }
    }
}

enum status build_part(const struct fabric_request *request, const char *key, const char *name, uint32_t classes,
                       uint32_t *part_id, struct diag *diag)
{
    struct origin at = build_origin(request, key);
    enum status status = part_find(request->parts, name, at, part_id, diag);
    enum part_class class = status == STATUS_OK ? request->parts->parts[*part_id].class : PART_NONE;
    if (status != STATUS_OK || class == PART_NONE || (classes >> class & 1) != 0) {
        return status;
    }
    char expected[120];
    class_names(classes, expected, sizeof expected);
    return diag_input(diag, at, "%s: part %s is of class %s; expected one of class %s, or none", key, name,
                      part_class_name(class), expected);
}

enum status build_parts(const struct fabric_request *request, const struct build_part_row *rows, size_t count,
                        struct diag *diag)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = build_part(request, rows[i].key, rows[i].name, rows[i].classes, rows[i].part_id, diag);
    }
    return status;
}

uint64_t build_part_u64(const struct part_table *parts, uint32_t part_id, enum part_quantity quantity)
{
    return (uint64_t)llround(part_normal(parts, part_id, quantity));
}

uint64_t build_length_ps(const struct part_table *parts, uint32_t medium, double length_m)
{
    return (uint64_t)llround(part_normal(parts, medium, PART_DELAY_FS_PER_M) * length_m / 1000);
}

/* The connector is the part of that name. */
uint32_t build_length_loss_mdb(const struct part_table *parts, uint32_t medium, double length_m,
                               uint32_t connectors)
{
    uint32_t connector = 1;
    while (connector < parts->count && strcmp(parts->parts[connector].name, "connector") != 0) {
        connector++;
    }
    assert(connector < parts->count);
    if (parts->parts[medium].class != PART_FIBRE) {
        return 0;
    }
    double loss_mdb = part_normal(parts, medium, PART_LOSS_MDB_PER_KM) * length_m / 1000 +
                      part_normal(parts, connector, PART_LOSS_MDB) * connectors;
    return (uint32_t)llround(loss_mdb);
}
