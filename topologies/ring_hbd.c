/* InfiniteHBD: a ring of hosts whose transceivers switch by themselves, past neighbours that have failed.
 *
 *      main path         0 ══ 1 ══ 2 ══ 3 ══ 4 ══ ...       every transceiver has a 1 x 3 switch: the main fibre to the next
 *      backup path       0 ═══════ 2    3 ═══════ 5         host, backup fibres to the ones after it (k_hop), and a
 *      2 has failed      0 ══ 1 ═══════ 3 ══ 4 ══ ...       loopback where nothing follows
 *
 * `failed` are positions of the ring that are down. Hosts are the others, numbered round the ring, so a job sees a ring of
 * any size without a gap. A bypass of up to k_hop - 1 failed hosts in a row costs the switch's time once, at the start. More
 * of them break the ring there: it becomes a line, whose ends loop back. Two breaks would cut hosts off and are refused.
 *
 * Scope: one ring, `links` transceivers each way at every host; what has failed has failed before the job.
 * Not modelled: rings of several sizes out of one (start several jobs), loopback inside a host of several GPUs, failures
 * during a run.
 * Checked against: ring all-reduce at full rate round failed hosts, half of it on the line without bypass; shares of usable
 * hosts (after Shou et al., InfiniteHBD, arXiv 2502.03885; tests/test_photonic.c). */
#include "topologies/chips.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

struct ring_hbd {
    struct chips_values chips;
    uint64_t links, k_hop;
    const char *failed;
};

static const struct param rows[] = {
    CHIPS_ROWS(struct ring_hbd, "800Gbps", "10m", "200ns"),
    PARAM_U64(struct ring_hbd, links, COUNT, "links", "4", "1", "32", "transceivers of a host each way round"),
    PARAM_U64(struct ring_hbd, k_hop, COUNT, "k_hop", "3", "1", "8",
              "hosts ahead that a transceiver reaches: main and backup fibres (InfiniteHBD: 2 to 3); 1: no bypass"),
    PARAM_TEXT(struct ring_hbd, failed, "failed", "", "positions of the ring that are down, as 3,7,8"),
};

#define FAILED_MAX 1024

struct failures {
    uint32_t position[FAILED_MAX], count; /* ascending */
};

static enum status failed_parse(const struct ring_hbd *values, const struct fabric_request *request,
                                struct failures *failures, struct diag *diag)
{
    const char *at = values->failed != NULL ? values->failed : "";
    failures->count = 0;
    while (*at != 0) {
        char *end = NULL;
        unsigned long position = isdigit((unsigned char)*at) ? strtoul(at, &end, 10) : ULONG_MAX;
        bool is_next = failures->count == 0 || position > failures->position[failures->count - 1];
        bool is_good = position < 65536 && is_next && failures->count < FAILED_MAX && (*end == 0 || *end == ',');
        if (!is_good) {
            return diag_input(diag, build_origin(request, "failed"),
                              "failed: \"%.60s\" is no list of positions; expected ascending whole numbers as 3,7,8",
                              values->failed);
        }
        failures->position[failures->count++] = (uint32_t)position;
        at = *end == ',' ? end + 1 : end;
    }
    return STATUS_OK;
}

/* Positions between a host and the next one that works: 1, and one more for each that has failed. */
static uint32_t step(const struct failures *failures, uint32_t positions, uint32_t position)
{
    uint32_t steps = 1, next = (position + 1) % positions;
    for (uint32_t i = 0; i < 2 * failures->count; i++) { /* twice, for runs that go round the end */
        if (failures->position[i % failures->count] == next) {
            steps++;
            next = (next + 1) % positions;
        }
    }
    return steps;
}

struct ring {
    struct chips chips;
    struct failures failures;
    uint32_t *position; /* of each host */
    uint32_t positions, breaks, bypasses;
};

static enum status ring_check(const struct ring_hbd *values, const struct fabric_request *request,
                              const struct ring *ring, struct diag *diag)
{
    uint32_t last = ring->failures.count > 0 ? ring->failures.position[ring->failures.count - 1] : 0;
    if (last >= ring->positions) {
        return diag_input(diag, build_origin(request, "failed"),
                          "failed: position %" PRIu32 " is beyond the ring of %" PRIu32 " hosts and %" PRIu32
                          " failed ones; expected at most %" PRIu32,
                          last, ring->positions - ring->failures.count, ring->failures.count, ring->positions - 1);
    }
    if (ring->breaks > 1) {
        return diag_input(diag, build_origin(request, "failed"),
                          "failed: the ring is broken at %" PRIu32 " places, since k_hop %" PRIu64
                          " bypasses %" PRIu64 " failed hosts in a row at most; expected one break or none",
                          ring->breaks, values->k_hop, values->k_hop - 1);
    }
    return STATUS_OK;
}

static void ring_measure(const struct ring_hbd *values, struct arena *arena, struct ring *ring, uint32_t hosts)
{
    uint32_t next_failed = 0, count = 0;
    ring->positions = hosts + ring->failures.count;
    ring->position = arena_array(arena, hosts, uint32_t);
    for (uint32_t position = 0; position < ring->positions && count < hosts; position++) {
        bool is_failed =
            next_failed < ring->failures.count && ring->failures.position[next_failed] == position;
        next_failed += is_failed;
        if (!is_failed) {
            ring->position[count++] = position;
        }
    }
    for (uint32_t host = 0; host < hosts; host++) {
        uint32_t steps = step(&ring->failures, ring->positions, ring->position[host]);
        ring->breaks += steps > values->k_hop;
        ring->bypasses += steps > 1 && steps <= values->k_hop;
    }
}

/* Ports: `links` forward, then `links` back. Hosts pass packets on, so credits go round the ring as well. */
static void ring_join(const struct ring_hbd *values, struct arena *arena, struct ring *ring, struct fabric *fabric)
{
    struct chips *chips = &ring->chips;
    uint32_t links = (uint32_t)values->links;
    uint8_t *port_ring = arena_array(arena, fabric->port_count, uint8_t);
    for (uint32_t host = 0; host < chips->hosts; host++) {
        uint32_t next = (host + 1) % chips->hosts;
        uint32_t steps = step(&ring->failures, ring->positions, ring->position[host]);
        for (uint32_t i = 0; steps <= values->k_hop && i < links; i++) {
            chips_join(chips, host, i, next, links + i);
            uint32_t port = host * chips->ports + i;
            uint64_t up_ps = steps > 1 ? chips->dark_ps : 0; /* bypasses are switched when the job starts */
            fabric->port_up_ps[port] = fabric->port_up_ps[fabric->port_peer[port]] = up_ps;
            port_ring[port] = port_ring[fabric->port_peer[port]] = (uint8_t)(1 | (next < host ? RING_CLOSED : 0));
        }
    }
    fabric->port_ring = port_ring;
}

static enum status ring_hbd_build(const void *all_values, const struct fabric_request *request,
                                  struct fabric *fabric, struct diag *diag)
{
    const struct ring_hbd *values = all_values;
    struct ring *ring = arena_one(request->arena, struct ring);
    uint32_t hosts = chips_hosts(&values->chips, request);
    if (hosts < 2) {
        return diag_input(diag, build_origin(request, "hosts"), "%" PRIu32 " host is no ring; expected 2 or more", hosts);
    }
    enum status status = failed_parse(values, request, &ring->failures, diag);
    if (status == STATUS_OK) {
        ring_measure(values, request->arena, ring, hosts);
        status = ring_check(values, request, ring, diag);
    }
    if (status == STATUS_OK) {
        status = chips_begin(&ring->chips, &values->chips, 2 * (uint32_t)values->links, request, fabric, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    ring_join(values, request->arena, ring, fabric);
    chips_end(&ring->chips, fabric, true);
    fabric->reconfigurations = ring->bypasses * (uint32_t)values->links;
    fabric->circuit_count = hosts * (uint32_t)values->links - ring->breaks * (uint32_t)values->links;
    return STATUS_OK;
}

const struct fabric_family fabric_ring_hbd = {
    .name = "ring_hbd",
    .summary = "ring of hosts whose transceivers switch past failed neighbours (InfiniteHBD)",
    .params = PARAM_TABLE(struct ring_hbd, rows),
    .build = ring_hbd_build,
};
