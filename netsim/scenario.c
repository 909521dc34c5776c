#include "netsim/scenario.h"

#include "netsim/profile.h"
#include "netsim/route/way.h"

#include <string.h>

static const char *const cell_ports_names[] = {"cyclic", "all", NULL};

static const struct param packet_rows[] = {
    PARAM_U64(struct scenario_packet, size_bytes, SIZE, "size", "4150B", "65B", "16383B",
              "a full packet on the wire, header counted (uet-htsim: 4150 B)"),
    PARAM_U64(struct scenario_packet, header_bytes, SIZE, "header", "64B", "1B", "1024B",
              "of it the header; a cut-through switch forwards once it has seen it"),
    PARAM_U64(struct scenario_packet, ack_bytes, SIZE, "ack", "64B", "1B", "1024B", "an acknowledgement on the wire"),
    PARAM_U64(struct scenario_packet, cell_bytes, SIZE, "cell", "0B", "0B", "16383B",
              "a packet goes as cells of so much on the wire, the last one padded, and is put together behind the link (Sirius: 562 B); 0B: as it is"),
    PARAM_U64(struct scenario_packet, cell_header_bytes, SIZE, "cell_header", "0B", "0B", "1024B", "of every cell (ATM: 5 B of 53 B)"),
    PARAM_CHOICE(struct scenario_packet, cell_ports, "cell_ports", "cyclic", cell_ports_names,
                 "where packets go as cells: cyclic: at ports whose circuits come and go by a fixed cycle; all: at every port"),
};

static const struct param routing_rows[] = {
    PARAM_CHOICE(struct scenario_routing, balance, "balance", "spray", balance_names,
                 "ecmp: one path a message; spray: one path a packet; spray_n: the same few paths in turn; reps: good paths again; flowlet: a new path after a pause; source: all paths in turn, by source routes; go-back-N transports have ecmp unless this is set. Links of a scale-up domain are striped whatever it is"),
    PARAM_U64(struct scenario_routing, entropies, COUNT, "entropies", "64", "1", "32768",
              "values that spray_n takes in turn, a power of two (uet-htsim: 64)"),
    PARAM_U64(struct scenario_routing, flowlet_gap_ps, TIME, "flowlet_gap", "10us", "0ns", "1s",
              "pause of a message after which balance flowlet takes a new path; more than the ways differ in delay keeps packets in order"),
    PARAM_CHOICE(struct scenario_routing, paths, "paths", "minimal", way_names,
                 "minimal: shortest ways; valiant: by a region drawn for every packet; ugal: one or the other, by backlog and length, as the first switch sees them"),
    PARAM_U64(struct scenario_routing, ugal_threshold_bytes, SIZE, "ugal_threshold", "16KiB", "0B", "1GiB",
              "ugal: what backlog times hops of the shortest way must exceed that of the detour by"),
};

static const struct param host_rows[] = {
    PARAM_U64(struct scenario_host, post_ps, TIME, "post", "0ns", "0ns", "1ms",
              "software time between posting a message and the NIC"),
    PARAM_U64(struct scenario_host, post_gap_ps, TIME, "post_gap", "0ns", "0ns", "1ms",
              "least time between two messages that a host's NIC takes: the inverse of its message rate"),
    PARAM_U64(struct scenario_host, nic_ps, TIME, "nic_latency", "0ns", "0ns", "1ms",
              "between memory and the line, at either end: PCIe and NIC"),
    PARAM_U64(struct scenario_host, connections, COUNT, "connections", "1", "0", "4096",
              "of each pair of ranks, and in collectives of each group and channel (NCCL: 1), used in turn; messages of one go in order and share its window and path; 0: every message is one of its own, all at once (htsim)"),
    PARAM_U64(struct scenario_host, segment_bytes, SIZE, "segment", "0B", "0B", NULL,
              "longer messages are carried as several, over the connections in turn; 0B: whole"),
    PARAM_U64(struct scenario_host, local_bps, RATE, "local_rate", "3600Gbps", "1Gbps", "1000Tbps",
              "copies between ranks of one host (one way of NVLink4, 450 GB/s)"),
    PARAM_U64(struct scenario_host, local_ps, TIME, "local_latency", "0ns", "0ns", "1ms",
              "before the first byte of such a copy"),
    PARAM_U64(struct scenario_host, gpus_per_nic, COUNT, "gpus_per_nic", "1", "1", "256",
              "ranks that share a host of the fabric, its ports and its NIC; messages between them are local copies"),
    PARAM_U64(struct scenario_host, rto_ps, TIME, "rto", "100us", "1us", "10s",
              "a message is repeated after so long without an acknowledgement, and twice the longest time that circuits are dark; where packets can be lost"),
};

static const char *const receive_names[] = {"delivered", "send_done", NULL};

static const struct param replay_rows[] = {
    PARAM_U64(struct scenario_replay, chunk_bytes, SIZE, "chunk", "512KiB", "1B", "1GiB",
              "step of pipelined broadcast and reduce (NCCL, Simple protocol: 512 KiB)"),
    PARAM_U64(struct scenario_replay, all_to_all_concurrency, COUNT, "all_to_all_concurrency", "8", "1", "1048576",
              "exchanges of a pairwise all-to-all that are under way at once"),
    PARAM_CHOICE(struct scenario_replay, receive, "receive", "delivered", receive_names,
                 "when the receiver goes on: delivered: with the last byte; send_done: an idle way back later, when the sender has the ACK (as lists of htsim's generators do)"),
};

static const char *const select_names[] = {"first", "nccl", NULL};
static const char *const protocol_choices[] = {"auto", "none", "ll", "ll128", "simple", NULL};

#define ALGORITHM(kind_, key_)                                                                                \
    PARAM_TEXT(struct scenario_collective, name[kind_], key_, NULL, "algorithm; the first of those listed below is the default; custom:FILE[@SIZE]: of MSCCL's XML or Chakra files")
static const struct param collective_rows[] = {
    ALGORITHM(COLLECTIVE_ALL_REDUCE, "all_reduce"),
    ALGORITHM(COLLECTIVE_ALL_GATHER, "all_gather"),
    ALGORITHM(COLLECTIVE_REDUCE_SCATTER, "reduce_scatter"),
    ALGORITHM(COLLECTIVE_ALL_TO_ALL, "all_to_all"),
    ALGORITHM(COLLECTIVE_BROADCAST, "broadcast"),
    ALGORITHM(COLLECTIVE_REDUCE, "reduce"),
    ALGORITHM(COLLECTIVE_GATHER, "gather"),
    ALGORITHM(COLLECTIVE_SCATTER, "scatter"),
    ALGORITHM(COLLECTIVE_BARRIER, "barrier"),
    PARAM_CHOICE(struct scenario_collective, select, "select", "first", select_names,
                 "who chooses what is not named: first: the first algorithm, no protocol; nccl: NCCL's tuning model"),
    PARAM_TEXT(struct scenario_collective, rules, "rules", NULL,
               "the first that fits is taken: 'all_reduce size<64KiB -> tree/ll; group=tp* -> ring/simple/16; all_gather -> custom:FILE'"),
    PARAM_CHOICE(struct scenario_collective, protocol, "protocol", "auto", protocol_choices,
                 "of NCCL: its latencies, rates and flags; auto: the model's choice with nccl, else none"),
    PARAM_CHOICE(struct scenario_collective, generation, "generation", "hopper", generation_names,
                 "of GPUs, for the rows of NCCL's model"),
    PARAM_U64(struct scenario_collective, channels, COUNT, "channels", "0", "0", "1024",
              "rings or trees side by side; 0: the model's, or 1"),
    PARAM_U64(struct scenario_collective, slices, COUNT, "slices", "0", "0", "1024",
              "messages that a step of a ring goes in; 0: the protocol's (Simple: 2), or 1"),
    PARAM_U64(struct scenario_collective, ring_bytes, SIZE, "ring_chunk", "0B", "0B", "1TB",
              "most of a step and channel of a ring; 0B: the protocol's (Simple: 2 MiB), or no limit"),
    PARAM_REAL(struct scenario_collective, efficiency, FRACTION, "efficiency", "0%", "0", "1",
               "share of scale-up links that Simple reaches; 0%: NCCL's row (H100: 20.6 of 25 GB/s)"),
    PARAM_U64(struct scenario_collective, server_hosts, COUNT, "server", "0", "0", "1048576",
              "hosts of a scale-up domain; 0: as the fabric says"),
};
#undef ALGORITHM

static const struct param noise_rows[] = {
    PARAM_CHOICE(struct noise_wish, distribution, "distribution", "normal", noise_names,
                 "of computation times; exponential only delays"),
    PARAM_REAL(struct noise_wish, amount, FRACTION, "amount", "0", "0", "10",
               "standard deviation of a computation's time over its time; 0: none"),
    PARAM_U64(struct noise_wish, seed, COUNT, "seed", "0", NULL, NULL, "of noise and slow ranks; 0: the run's"),
    PARAM_U64(struct noise_wish, slow_count, COUNT, "slow_count", "0", "0", NULL, "slow ranks, drawn by the seed"),
    PARAM_TEXT(struct noise_wish, slow_ranks, "slow_ranks", NULL, "slow ranks by number: 3,17-19"),
    PARAM_REAL(struct noise_wish, slow_factor, NUMBER, "slow_factor", "1.5", "0", "1000",
               "time of a computation on a slow rank over that on the others"),
};

static const struct param results_rows[] = {
    PARAM_U64(struct scenario_results, messages_max, COUNT, "messages", "1000000", "0", NULL,
              "rows kept of the messages table; beyond it messages are sampled by hash"),
    PARAM_U64(struct scenario_results, flush_ps, TIME, "flush", "0ns", "0ns", NULL,
              "simulated time between flushes of the result file; 0ns: every two seconds of wall time"),
};

struct section {
    const char *prefix;
    struct param_table table;
    size_t offset; /* of the pointer to its values in struct scenario */
};

static const struct section sections[] = {
    {"packet", PARAM_TABLE(struct scenario_packet, packet_rows), offsetof(struct scenario, packet)},
    {"routing", PARAM_TABLE(struct scenario_routing, routing_rows), offsetof(struct scenario, routing)},
    {"queue", {queue_rows, QUEUE_ROW_COUNT, sizeof(struct scenario_queue)}, offsetof(struct scenario, queue)},
    {"host", PARAM_TABLE(struct scenario_host, host_rows), offsetof(struct scenario, host)},
    {"replay", PARAM_TABLE(struct scenario_replay, replay_rows), offsetof(struct scenario, replay)},
    {"collective", PARAM_TABLE(struct scenario_collective, collective_rows), offsetof(struct scenario, collective)},
    {"noise", PARAM_TABLE(struct noise_wish, noise_rows), offsetof(struct scenario, noise)},
    {"failures", {failure_rows, FAILURE_ROW_COUNT, sizeof(struct scenario_failures)}, offsetof(struct scenario, failures)},
    {"links", {link_rows, LINK_ROW_COUNT, sizeof(struct scenario_links)}, offsetof(struct scenario, links)},
    {"results", PARAM_TABLE(struct scenario_results, results_rows), offsetof(struct scenario, results)},
};
#define SECTION_COUNT (sizeof sections / sizeof sections[0])

static void **section_values(struct scenario *scenario, const struct section *section)
{
    return (void **)((char *)scenario + section->offset);
}

/* The key behind "PREFIX.", or NULL. */
static const char *key_in(const char *key, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(key, prefix, length) == 0 && key[length] == '.' ? key + length + 1 : NULL;
}

static enum status transport_choose(const struct trace_setting *settings, size_t count, const char *name,
                                    struct arena *arena, struct scenario *scenario, struct diag *diag)
{
    struct origin at = {"--transport", 0, 0};
    for (size_t i = 0; i < count && name == NULL; i++) {
        if (strcmp(settings[i].key, "transport.name") == 0) {
            at = settings[i].at;
            scenario->transport = transport_find(settings[i].text);
            name = scenario->transport == NULL ? settings[i].text : NULL;
        }
    }
    if (name != NULL) {
        scenario->transport = transport_find(name);
    } else if (scenario->transport == NULL) {
        scenario->transport = transports[0];
    }
    if (scenario->transport == NULL) {
        return diag_input(diag, at, "unknown transport \"%s\"; `photonet transport` lists them", name);
    }
    scenario->transport_values = param_defaults(&scenario->transport->params, arena);
    return STATUS_OK;
}

/* Looks the named algorithms up; the setting that was just applied is to blame for an unknown one. */
static enum status algorithms_find(struct scenario *scenario, const struct trace_setting *setting, struct arena *arena,
                                   struct diag *diag)
{
    for (int kind = 0; kind < COLLECTIVE_KIND_COUNT; kind++) {
        const char *name = scenario->collective->name[kind];
        if (name == NULL) {
            continue;
        }
        if (collective_is_custom(name)) {
            enum status status = collective_custom(name, kind, setting->at, arena, &scenario->policy,
                                                   &scenario->policy.algorithm[kind], diag);
            if (status != STATUS_OK) {
                return status;
            }
            continue;
        }
        scenario->policy.algorithm[kind] = collective_find((enum collective_kind)kind, name);
        if (scenario->policy.algorithm[kind] == NULL) {
            return diag_input(diag, setting->at, "unknown algorithm \"%s\" for %s; `photonet run --parameters` lists them",
                              name, collective_name((enum collective_kind)kind));
        }
    }
    const char *rules = scenario->collective->rules;
    return rules == NULL ? STATUS_OK : collective_rules_parse(rules, setting->at, arena, &scenario->policy, diag);
}

static void policy_fill(struct scenario *scenario)
{
    const struct scenario_collective *values = scenario->collective;
    struct collective_policy *policy = &scenario->policy;
    policy->is_nccl = values->select == 1;
    policy->generation = (enum generation)values->generation;
    policy->protocol = values->protocol == 0 ? PROTOCOL_AUTO : (enum protocol)(values->protocol - 1);
    policy->channels = (uint32_t)values->channels;
    policy->slices = (uint32_t)values->slices;
    policy->ring_bytes = values->ring_bytes;
    policy->efficiency = values->efficiency;
}

static enum status setting_apply(const struct trace_setting *setting, struct arena *arena, struct scenario *scenario,
                                 struct diag *diag)
{
    const char *key = key_in(setting->key, "transport");
    if (key != NULL) {
        return strcmp(key, "name") == 0
                   ? STATUS_OK
                   : param_assign_in("transport.", &scenario->transport->params, scenario->transport_values, key, setting->text,
                                     setting->at, arena, diag);
    }
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        key = key_in(setting->key, sections[i].prefix);
        if (key == NULL) {
            continue;
        }
        char prefix[32];
        snprintf(prefix, sizeof prefix, "%s.", sections[i].prefix);
        enum status status = param_assign_in(prefix, &sections[i].table, *section_values(scenario, &sections[i]), key,
                                             setting->text, setting->at, arena, diag);
        return status == STATUS_OK ? algorithms_find(scenario, setting, arena, diag) : status;
    }
    return diag_input(diag, setting->at,
                      "unknown key \"%s\"; sections are packet, routing, queue, host, replay, collective, noise, failures, links, results, transport, part, trace",
                      setting->key);
}

/* Go-back-N takes packets that overtake each other for lost ones, so it gets one path a message unless told otherwise. */
static void balance_default(const struct trace_setting *settings, size_t count, struct scenario *scenario)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(settings[i].key, "routing.balance") == 0) {
            return;
        }
    }
    bool is_in_order = transport_ack(scenario->transport, scenario->transport_values) == ACK_IN_ORDER;
    for (uint32_t i = 0; is_in_order && balances[i] != NULL; i++) {
        if (strcmp(balances[i]->name, "ecmp") == 0) {
            scenario->routing->balance = i;
        }
    }
}

static enum status scenario_check(const struct scenario *scenario, struct diag *diag)
{
    const struct scenario_packet *packet = scenario->packet;
    if (packet->header_bytes >= packet->size_bytes) {
        return diag_set(diag, STATUS_INPUT, "packet.header is %lu B of packet.size %lu B; a packet needs payload",
                        packet->header_bytes, packet->size_bytes);
    }
    if (packet->cell_bytes == 0 && packet->cell_header_bytes > 0) {
        return diag_set(diag, STATUS_INPUT, "packet.cell_header is %lu B, but packets go without cells; expected packet.cell "
                                            "with it", packet->cell_header_bytes);
    }
    if (packet->cell_bytes > 0 && packet->cell_header_bytes >= packet->cell_bytes) {
        return diag_set(diag, STATUS_INPUT, "packet.cell_header is %lu B of packet.cell %lu B; a cell needs payload",
                        packet->cell_header_bytes, packet->cell_bytes);
    }
    uint64_t entropies = scenario->routing->entropies;
    if ((entropies & (entropies - 1)) != 0) {
        return diag_set(diag, STATUS_INPUT, "routing.entropies is %lu; a power of two was expected", entropies);
    }
    return STATUS_OK;
}

/* ---- the resolved text ------------------------------------------------------------------------------------ */

static char *table_text(const char *text, const char *prefix, const struct param_table *table, const void *values,
                        struct arena *arena)
{
    char value[256];
    char *all = arena_printf(arena, "%s%s:\n", text, prefix);
    for (size_t i = 0; i < table->row_count; i++) {
        all = arena_printf(arena, "%s  %s: %s\n", all, table->rows[i].key,
                           param_text(&table->rows[i], values, value, sizeof value));
    }
    return all;
}

static const char *scenario_text(struct scenario *scenario, struct arena *arena)
{
    const char *text = "";
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        text = table_text(text, sections[i].prefix, &sections[i].table, *section_values(scenario, &sections[i]),
                          arena);
    }
    text = table_text(text, "transport", &scenario->transport->params, scenario->transport_values, arena);
    return arena_printf(arena, "%s  name: %s\n", text, scenario->transport->name);
}

enum status scenario_load(const struct trace_setting *settings, size_t count, const char *transport,
                          struct arena *arena, struct scenario *scenario, struct diag *diag)
{
    *scenario = (struct scenario){0};
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        *section_values(scenario, &sections[i]) = param_defaults(&sections[i].table, arena);
    }
    struct profile_settings all = {0};
    enum status status = transport_choose(settings, count, transport, arena, scenario, diag);
    if (status == STATUS_OK) {
        status = profile_expand(scenario->transport, scenario->transport_values, settings, count, arena, &all, diag);
    }
    for (size_t i = 0; i < all.count && status == STATUS_OK; i++) {
        status = setting_apply(&all.settings[i], arena, scenario, diag);
    }
    if (status == STATUS_OK) {
        balance_default(all.settings, all.count, scenario);
        policy_fill(scenario);
        status = scenario_check(scenario, diag);
    }
    if (status == STATUS_OK) {
        scenario->text = arena_printf(arena, "%s%s", scenario_text(scenario, arena),
                                      collective_customs_text(&scenario->policy, "# ", arena));
    }
    return status;
}

void scenario_help(FILE *stream)
{
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "%s.", sections[i].prefix);
        param_help(&sections[i].table, prefix, stream);
    }
    fprintf(stream, "algorithms of collectives:\n");
    for (const struct collective_algorithm *const *row = collective_algorithms; *row != NULL; row++) {
        fprintf(stream, "  %-15s %-15s %s\n", collective_name((*row)->kind), (*row)->name, (*row)->summary);
    }
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        fprintf(stream, "transport %s: %s\n", (*transport)->name, (*transport)->summary);
        param_help(&(*transport)->params, "transport.", stream);
    }
}
