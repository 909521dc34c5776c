#include "netsim/flow/platform.h"

#include "netsim/base/rng.h"
#include "netsim/engine/engine.h"

#include <inttypes.h>
#include <math.h>

/* Of links that limit nobody (SimGrid wants a number): a thousand times the fastest port that a fabric may have. */
#define PASS_RATE_BPS UINT64_C(100000000000000000)

/* Shares are products of few small fractions; equal ones differ by rounding only. */
#define SHARE_EPSILON 1e-9

struct platform *platform_new(struct arena *arena, const struct platform_config *config)
{
    struct platform *platform = arena_one(arena, struct platform);
    platform->config = *config;
    platform->arena = arena;
    platform->pair_map_capacity = 64;
    platform->pair_map = arena_array(arena, platform->pair_map_capacity, uint32_t);
    platform->port_link = arena_array(arena, config->fabric->port_count, uint32_t);
    platform->port_share = arena_array(arena, config->fabric->port_count, double);
    for (uint32_t port = 0; port < config->fabric->port_count; port++) {
        platform->port_link[port] = ID_NONE;
    }
    return platform;
}

/* ---- pairs --------------------------------------------------------------------------------------------- */

static uint32_t *pair_place(const struct platform *platform, uint32_t src, uint32_t dst)
{
    size_t mask = platform->pair_map_capacity - 1;
    size_t at = rng_mix((uint64_t)src << 32 | dst) & mask;
    for (; platform->pair_map[at] != 0; at = (at + 1) & mask) {
        const struct platform_pair *pair = &platform->pairs[platform->pair_map[at] - 1];
        if (pair->src == src && pair->dst == dst) {
            break;
        }
    }
    return &platform->pair_map[at];
}

static void pair_map_grow(struct platform *platform)
{
    platform->pair_map_capacity *= 2;
    platform->pair_map = arena_array(platform->arena, platform->pair_map_capacity, uint32_t);
    for (size_t i = 0; i < platform->pair_count; i++) {
        *pair_place(platform, platform->pairs[i].src, platform->pairs[i].dst) = (uint32_t)i + 1;
    }
}

void platform_add(struct platform *platform, uint32_t src, uint32_t dst, uint64_t wire_bytes)
{
    uint32_t *place = pair_place(platform, src, dst);
    if (*place != 0) {
        platform->pairs[*place - 1].wire_bytes += wire_bytes;
        return;
    }
    vec_push(platform->arena, platform->pairs, platform->pair_count, platform->pair_capacity) =
        (struct platform_pair){.src = src, .dst = dst, .wire_bytes = wire_bytes};
    *place = (uint32_t)platform->pair_count;
    if (2 * platform->pair_count > platform->pair_map_capacity) {
        pair_map_grow(platform);
    }
}

uint64_t platform_latency_ps(const struct platform *platform, uint32_t src, uint32_t dst)
{
    return platform->pairs[*pair_place(platform, src, dst) - 1].latency_ps;
}

/* ---- layers -------------------------------------------------------------------------------------------- */

/* The nodes that a pair's packets may stand on after so many hops, and the ports that they leave by. */
struct layer {
    uint32_t *nodes, *next; /* node_count places each */
    uint32_t node_count, next_count;
    double *share, *next_share; /* per node of the fabric; next_share is 0 for all that are not in `next` */
    uint32_t *ports;
    double *port_share; /* of the i-th in `ports` */
    size_t port_count, port_capacity, share_capacity;
};

static struct layer *layer_new(struct arena *arena, uint32_t node_count)
{
    struct layer *layer = arena_one(arena, struct layer);
    layer->nodes = arena_array(arena, node_count, uint32_t);
    layer->next = arena_array(arena, node_count, uint32_t);
    layer->share = arena_array(arena, node_count, double);
    layer->next_share = arena_array(arena, node_count, double);
    return layer;
}

static void layer_push(const struct platform *platform, struct layer *layer, uint32_t port, double share)
{
    const struct fabric *fabric = platform->config.fabric;
    size_t count = layer->port_count;
    vec_push(platform->arena, layer->port_share, count, layer->share_capacity) = share;
    vec_push(platform->arena, layer->ports, layer->port_count, layer->port_capacity) = port;
    uint32_t peer = fabric->port_node[fabric->port_peer[port]];
    if (layer->next_share[peer] == 0) {
        layer->next[layer->next_count++] = peer;
    }
    layer->next_share[peer] += share;
}

static uint64_t set_rate_bps(const struct fabric *fabric, uint32_t node, const struct port_set *set)
{
    uint64_t rate_bps = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        rate_bps += fabric_port_mean_bps(fabric, fabric->port_first[node] + port_set_at(set, i));
    }
    return rate_bps;
}

static void node_spray(const struct platform *platform, struct layer *layer, uint32_t node, bool is_source,
                       const struct port_set *set)
{
    const struct fabric *fabric = platform->config.fabric;
    double sum_bps = (double)set_rate_bps(fabric, node, set);
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t port = fabric->port_first[node] + port_set_at(set, i);
        double part = is_source ? (double)fabric_port_mean_bps(fabric, port) / sum_bps : 1.0 / set->count;
        layer_push(platform, layer, port, layer->share[node] * part);
    }
}

/* The path of one message between the two; the pair's number stands for the message's. */
static void node_hash(const struct platform *platform, struct layer *layer, uint32_t node,
                      const struct platform_pair *pair, const struct port_set *set)
{
    uint64_t seed = platform->config.seed, identity = (uint64_t)pair->src << 40 | pair->dst;
    const struct packet packet = {.src = pair->src & (FABRIC_HOSTS_MAX - 1),
                                  .dst = pair->dst & (FABRIC_HOSTS_MAX - 1),
                                  .entropy = (uint16_t)rng_draw(seed, RNG_ENTROPY ^ identity, 0)};
    uint64_t hash = node == pair->src ? rng_draw(seed, RNG_HOST_PORT, identity)
                                      : packet_path_hash(&packet, rng_draw(seed, RNG_SWITCH_SALT, node));
    layer_push(platform, layer, platform->config.fabric->port_first[node] + route_choose(set, hash), 1);
}

/* The ports by which the pair's packets leave this layer; false where a node has none. */
static bool layer_leave(const struct platform *platform, struct layer *layer,
                        const struct platform_pair *pair)
{
    layer->port_count = layer->next_count = 0;
    for (uint32_t i = 0; i < layer->node_count; i++) {
        uint32_t node = layer->nodes[i];
        struct port_set set = routes_next(platform->config.routes, node, pair->dst);
        if (set.count == 0) {
            return false;
        }
        if (platform->config.is_sprayed) {
            node_spray(platform, layer, node, node == pair->src, &set);
        } else {
            node_hash(platform, layer, node, pair, &set);
        }
    }
    return true;
}

static void layer_go_on(struct layer *layer)
{
    for (uint32_t i = 0; i < layer->node_count; i++) {
        layer->share[layer->nodes[i]] = 0;
    }
    uint32_t *nodes = layer->nodes;
    double *share = layer->share;
    layer->nodes = layer->next;
    layer->share = layer->next_share;
    layer->node_count = layer->next_count;
    layer->next = nodes;
    layer->next_share = share;
}

/* ---- bundles ------------------------------------------------------------------------------------------- */

/* Time that a packet spends at the node behind a link (I2). */
static uint64_t transit_ps(const struct platform *platform, uint32_t port, uint32_t node)
{
    const struct fabric *fabric = platform->config.fabric;
    const struct packet_shape *shape = &platform->config.shape;
    bool is_cut = fabric->node_cut_through[node] && !fabric_has_cells(fabric, &shape->cells, port);
    return fabric->node_latency_ps[node] + (is_cut ? serialisation_ps(shape->header_bytes, fabric->rate_bps[port])
                                                   : fabric_service_ps(fabric, &shape->cells, port, shape->packet_bytes));
}

/* What is left of a port's rate beside the padding and headers of cells. */
static double packet_share(const struct platform *platform, uint32_t port)
{
    const struct packet_shape *shape = &platform->config.shape;
    bool has_cells = fabric_has_cells(platform->config.fabric, &shape->cells, port);
    uint64_t wire_bytes = has_cells ? cells_count(&shape->cells, shape->packet_bytes) * shape->cells.bytes : shape->packet_bytes;
    return (double)shape->packet_bytes / (double)wire_bytes;
}

static void link_add_port(struct platform *platform, struct platform_link *link, uint32_t port, double share)
{
    const struct fabric *fabric = platform->config.fabric;
    uint32_t peer = fabric->port_node[fabric->port_peer[port]];
    uint64_t rate_bps = (uint64_t)((double)fabric_port_mean_bps(fabric, port) * packet_share(platform, port) / share + 0.5);
    uint64_t latency_ps = link_delay_ps(fabric, port), pass_ps = transit_ps(platform, port, peer);
    if (peer >= fabric->host_count) {
        latency_ps += pass_ps;
    } else if (pass_ps > link->pass_ps) {
        link->pass_ps = pass_ps;
    }
    link->rate_bps = rate_bps < link->rate_bps ? rate_bps : link->rate_bps;
    link->latency_ps = latency_ps > link->latency_ps ? latency_ps : link->latency_ps;
}

static uint32_t link_new(struct platform *platform, const struct layer *layer)
{
    uint32_t id = (uint32_t)platform->link_count;
    struct platform_link link = {.rate_bps = UINT64_MAX,
                                 .port_first = (uint32_t)platform->port_count,
                                 .port_count = (uint32_t)layer->port_count};
    for (size_t i = 0; i < layer->port_count; i++) {
        uint32_t port = layer->ports[i];
        vec_push(platform->arena, platform->ports, platform->port_count, platform->port_capacity) = port;
        platform->port_link[port] = id;
        platform->port_share[port] = layer->port_share[i];
        link_add_port(platform, &link, port, layer->port_share[i]);
    }
    vec_push(platform->arena, platform->links, platform->link_count, platform->link_capacity) = link;
    return id;
}

/* The bundle of exactly the layer's ports in the layer's shares, made where none of them is in use; ID_NONE
 * where there can be none (I1). */
static uint32_t link_of(struct platform *platform, const struct layer *layer)
{
    uint32_t id = platform->port_link[layer->ports[0]];
    bool is_equal = id == ID_NONE || platform->links[id].port_count == layer->port_count;
    for (size_t i = 0; i < layer->port_count && is_equal; i++) {
        uint32_t port = layer->ports[i];
        is_equal = platform->port_link[port] == id &&
                   (id == ID_NONE || fabs(platform->port_share[port] - layer->port_share[i]) < SHARE_EPSILON);
    }
    if (!is_equal) {
        return ID_NONE;
    }
    return id != ID_NONE ? id : link_new(platform, layer);
}

/* ---- routes -------------------------------------------------------------------------------------------- */

static void route_push(struct platform *platform, struct platform_pair *pair, uint32_t item)
{
    vec_push(platform->arena, platform->route_links, platform->route_link_count,
             platform->route_link_capacity) = item;
    pair->route_count++;
}

static enum status pair_route(struct platform *platform, struct platform_pair *pair, struct layer *layer,
                              struct diag *diag)
{
    const struct fabric *fabric = platform->config.fabric;
    pair->route_first = (uint32_t)platform->route_link_count;
    layer->nodes[0] = pair->src;
    layer->share[pair->src] = 1;
    layer->node_count = 1;
    while (layer->nodes[0] != pair->dst) {
        if (!layer_leave(platform, layer, pair)) {
            return diag_set(diag, STATUS_INPUT, "%s: host %u cannot reach host %u", fabric->name, pair->src,
                            pair->dst);
        }
        uint32_t id = link_of(platform, layer);
        if (id == ID_NONE) {
            return diag_set(
                diag, STATUS_INPUT,
                "%s: SimGrid cannot spray from host %u to host %u: they share only some of the equal "
                "links of other pairs; expected routing.balance = ecmp, or the packet engine",
                fabric->name, pair->src, pair->dst);
        }
        route_push(platform, pair, id);
        platform->links[id].wire_bytes += pair->wire_bytes;
        pair->latency_ps += platform->links[id].latency_ps;
        layer_go_on(layer);
        if (layer->nodes[0] != pair->dst && platform->links[id].pass_ps > 0) {
            route_push(platform, pair, id | PLATFORM_PASS);
            platform->links[id].is_passed = true;
            pair->latency_ps += platform->links[id].pass_ps;
        }
    }
    layer->share[pair->dst] = 0;
    return STATUS_OK;
}

enum status platform_route(struct platform *platform, struct diag *diag)
{
    struct layer *layer = layer_new(platform->arena, platform->config.fabric->node_count);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < platform->pair_count && status == STATUS_OK; i++) {
        status = pair_route(platform, &platform->pairs[i], layer, diag);
    }
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void hosts_write(const struct platform *platform, FILE *stream)
{
    bool *is_used = arena_array(platform->arena, platform->config.fabric->host_count, bool);
    for (size_t i = 0; i < platform->pair_count; i++) {
        is_used[platform->pairs[i].src] = is_used[platform->pairs[i].dst] = true;
    }
    for (uint32_t host = 0; host < platform->config.fabric->host_count; host++) {
        if (is_used[host]) {
            fprintf(stream, "<host id=\"h%u\" speed=\"1Gf\"/>\n", host);
            fprintf(stream,
                    "<link id=\"w%u\" bandwidth=\"%" PRIu64 "bps\" latency=\"" PLATFORM_WEIGHT
                    "\" sharing_policy=\"FATPIPE\"/>\n",
                    host, PASS_RATE_BPS);
        }
    }
}

static void links_write(const struct platform *platform, FILE *stream)
{
    for (size_t i = 0; i < platform->link_count; i++) {
        const struct platform_link *link = &platform->links[i];
        fprintf(stream, "<link id=\"l%zu\" bandwidth=\"%" PRIu64 "bps\" latency=\"%" PRIu64 "ps\"/>\n", i,
                link->rate_bps, link->latency_ps);
        if (link->is_passed) {
            fprintf(stream,
                    "<link id=\"p%zu\" bandwidth=\"%" PRIu64 "bps\" latency=\"%" PRIu64
                    "ps\" sharing_policy=\"FATPIPE\"/>\n",
                    i, PASS_RATE_BPS, link->pass_ps);
        }
    }
}

static void route_write(const struct platform *platform, const struct platform_pair *pair, FILE *stream)
{
    fprintf(stream, "<route src=\"h%u\" dst=\"h%u\" symmetrical=\"NO\"><link_ctn id=\"w%u\"/>", pair->src,
            pair->dst, pair->src);
    for (uint32_t i = 0; i < pair->route_count; i++) {
        uint32_t item = platform->route_links[pair->route_first + i];
        fprintf(stream, "<link_ctn id=\"%c%u\"/>", item & PLATFORM_PASS ? 'p' : 'l', item & ~PLATFORM_PASS);
    }
    fputs("</route>\n", stream);
}

void platform_write(const struct platform *platform, FILE *stream)
{
    fputs("<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
          "<platform version=\"4.1\">\n<zone id=\"fabric\" routing=\"Full\">\n"
          "<host id=\"actors\" speed=\"1Gf\"/>\n",
          stream);
    hosts_write(platform, stream);
    links_write(platform, stream);
    for (size_t i = 0; i < platform->pair_count; i++) {
        route_write(platform, &platform->pairs[i], stream);
    }
    fputs("</zone>\n</platform>\n", stream);
}

void platform_port_bytes(const struct platform *platform, uint64_t *port_bytes)
{
    for (size_t i = 0; i < platform->link_count; i++) {
        const struct platform_link *link = &platform->links[i];
        for (uint32_t j = 0; j < link->port_count; j++) {
            uint32_t port = platform->ports[link->port_first + j];
            port_bytes[port] += (uint64_t)((double)link->wire_bytes * platform->port_share[port] + 0.5);
        }
    }
}
