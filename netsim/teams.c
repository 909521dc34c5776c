/* Teams of a run: which trees, which groups of the engine, which windows.
 *
 * A team gets every tree that shares no link of a member with one before (group_tree.h): all planes and all links side by side
 * of a scale-up domain, one for every plane of a network; for other teams others of the equal roots come first. Trees of one
 * team have links of one rate. Inside a server only scale-up links count. The window of a team is what its links hold in two
 * round trips, or less where the tables of switches are small: entries over all streams that may use the table at once.
 *
 * What a switch can is in its part: reduce_entries (0: it cannot) and reduce (time from the last contribution to the result);
 * of several kinds of switches the fewest entries and the longest time hold for all.
 *
 * Not modelled: sharing of tables over time: every team of the job has its part of them all the time.
 * Checked against: tests/test_switch_reduce.c. */
#include "netsim/teams.h"

#include "netsim/engine/group_tree.h"
#include "netsim/engine/queue.h"

#include <inttypes.h>

#define TREES_TRIED_MAX 256

struct teams {
    const struct teams_request *request;
    struct arena *arena, *scratch;
    struct team *teams;
    uint32_t count;
    struct group_builder builder;
    struct team_group *group;
    size_t group_count, group_capacity;
    uint64_t *users;         /* per node: streams that may need an entry for each packet of their window */
    uint64_t combine_ps;
    uint32_t entries_max;
    enum status status;
    struct diag *diag;
};

/* ---- what switches can ------------------------------------------------------------------------------------ */

static uint32_t entries_of(const struct fabric *fabric, uint32_t node)
{
    return (uint32_t)part_normal(fabric->parts, fabric->node_part[node], PART_REDUCE_ENTRIES);
}

static uint32_t first_incapable(const struct fabric *fabric, const struct tree *tree)
{
    for (uint32_t i = 0; i < tree->hop_count; i++) {
        if (entries_of(fabric, tree->hops[i].node) == 0) {
            return tree->hops[i].node;
        }
    }
    return ID_NONE;
}

/* Either way. */
static bool link_loses(const struct fabric *fabric, uint32_t port)
{
    const struct frame_loss *loss = fabric->port_frame_loss;
    return loss != NULL && (loss[port].chance > 0 || loss[fabric->port_peer[port]].chance > 0);
}

bool teams_scale_up_reduces(const struct fabric *fabric, bool links_repeat)
{
    if (fabric->server_hosts < 2 || fabric->server_ports == 0) {
        return false;
    }
    for (uint32_t port = fabric->port_first[0]; port < fabric->port_first[0] + fabric->server_ports; port++) {
        uint32_t peer = fabric->port_peer[port], node = peer == ID_NONE ? ID_NONE : fabric->port_node[peer];
        bool is_able = node != ID_NONE && fabric->node_kind[node] == NODE_SWITCH && entries_of(fabric, node) > 0 &&
                       fabric->port_queue_bytes[peer] == UINT64_MAX && (links_repeat || !link_loses(fabric, port));
        if (!is_able) {
            return false;
        }
    }
    return true;
}

const char *teams_hindrance(const struct teams_request *request)
{
    const struct fabric *fabric = request->fabric;
    const struct queue_profile *queues = request->queues;
    for (uint32_t class = 0; class < queues->class_count; class++) {
        const struct queue_class *rule = &queues->class[class];
        if (rule->capacity_bytes > 0 && rule->xoff_bytes == 0 && rule->credit_bytes == 0) {
            return "queues that drop (queue.capacity)";
        }
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric->port_queue_bytes[port] != UINT64_MAX) {
            return "queues that drop (the fabric's queue size)";
        }
    }
    return queues->shared_bytes > 0 ? "a shared buffer that drops (queue.shared)"
           : request->can_fail      ? "links that fail"
           : request->has_circuits  ? "circuits that change while the job runs"
                                    : NULL;
}

/* ---- trees ------------------------------------------------------------------------------------------------ */

/* Of a host: a scale-up port inside a server, a network port outside, if it has any. */
static bool port_is_right(const struct fabric *fabric, uint32_t host, uint32_t port, bool is_in_server)
{
    uint32_t ports = fabric->port_first[host + 1] - fabric->port_first[host];
    bool has_network = fabric->server_hosts <= 1 || ports > fabric->server_ports;
    bool is_scale_up = fabric->server_hosts > 1 && port < fabric->server_ports;
    return is_scale_up == is_in_server || (!is_in_server && !has_network);
}

/* Links of the members are free, of the right kind, and of the rate of those of the first tree. */
static bool tree_is_wanted(const struct teams *teams, const struct team *team, const struct tree *tree, bool is_in_server,
                           const uint64_t *used, const uint8_t *port)
{
    const struct fabric *fabric = teams->request->fabric;
    uint64_t rate_bps = fabric->rate_bps[fabric->port_first[team->host[0]] + port[0]];
    for (uint32_t i = 0; i < team->member_count; i++) {
        uint32_t at = tree->member_port[i];
        bool is_right = port_is_right(fabric, team->host[i], at, is_in_server) && !(used[i] >> at & 1) &&
                        (team->tree_count == 0 || fabric->rate_bps[fabric->port_first[team->host[i]] + at] == rate_bps);
        if (!is_right) {
            return false;
        }
    }
    return true;
}

/* A tree of one switch: link `lane` of every member to it. False where a member has none. */
static bool star_find(const struct fabric *fabric, const struct team *team, uint32_t node, uint32_t lane, struct arena *arena,
                      struct tree *tree)
{
    uint32_t count = team->member_count, *all = arena_array(arena, 4 * count, uint32_t);
    *tree = (struct tree){.fabric = fabric, .root_count = 1, .lane_count = 1, .member_count = count, .hop_count = 1,
                          .ports = all, .member_port = all + count, .member_hop = all + 2 * count, .member_down = all + 3 * count};
    tree->hops = arena_one(arena, struct tree_hop);
    *tree->hops = (struct tree_hop){node, ID_NONE, ID_NONE, 0, count};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t first = fabric->port_first[team->host[i]], last = fabric->port_first[team->host[i] + 1], left = lane, port = first;
        for (; port < last; port++) {
            bool is_there = fabric->port_peer[port] != ID_NONE && fabric->port_node[fabric->port_peer[port]] == node;
            if (is_there && left-- == 0) {
                break;
            }
        }
        if (port == last) {
            return false;
        }
        tree->member_port[i] = port - first;
        tree->ports[i] = tree->member_down[i] = fabric->port_peer[port] - fabric->port_first[node];
    }
    return true;
}

/* The trees of a team in the making. */
struct trees {
    struct teams *teams;
    struct team *team;
    bool is_in_server;
    uint64_t *used; /* per member: its ports that a tree has */
    struct tree tree[TEAM_TREES_MAX];
    uint8_t *port;
    uint32_t incapable; /* a switch that a tree would have needed, ID_NONE: none so far */
    bool has_lossy;     /* and whether there was one over links that lose packets */
};

static bool tree_loses(const struct fabric *fabric, const struct tree *tree)
{
    bool loses = false;
    for (uint32_t i = 0; i < tree->hop_count && fabric->port_frame_loss != NULL; i++) {
        const struct tree_hop *hop = &tree->hops[i];
        for (uint32_t down = hop->down_first; down < hop->down_first + hop->down_count; down++) {
            loses |= link_loses(fabric, fabric->port_first[hop->node] + tree->ports[down]);
        }
    }
    return loses;
}

static void tree_take(struct trees *trees, const struct tree *tree)
{
    struct team *team = trees->team;
    uint32_t incapable = first_incapable(trees->teams->request->fabric, tree);
    if (!tree_is_wanted(trees->teams, team, tree, trees->is_in_server, trees->used, trees->port)) {
        return;
    }
    if (!trees->teams->request->links_repeat && tree_loses(trees->teams->request->fabric, tree)) {
        trees->has_lossy = true;
        return;
    }
    if (incapable != ID_NONE) {
        trees->incapable = incapable;
        return;
    }
    uint8_t *port = trees->port + (size_t)team->tree_count * team->member_count;
    for (uint32_t i = 0; i < team->member_count; i++) {
        port[i] = (uint8_t)tree->member_port[i];
        trees->used[i] |= UINT64_C(1) << tree->member_port[i];
    }
    trees->tree[team->tree_count++] = *tree;
}

/* Switches that all members hang at, link by link; by them a server's trees are found without a search. */
static void stars_take(struct trees *trees)
{
    const struct fabric *fabric = trees->teams->request->fabric;
    uint32_t host = trees->team->host[0], first = fabric->port_first[host], before = ID_NONE, lane = 0;
    for (uint32_t port = first; port < first + fabric->server_ports && trees->team->tree_count < TEAM_TREES_MAX; port++) {
        uint32_t peer = fabric->port_peer[port], node = peer == ID_NONE ? ID_NONE : fabric->port_node[peer];
        struct tree tree;
        if (node == ID_NONE || fabric->node_kind[node] != NODE_SWITCH) {
            continue;
        }
        lane = node == before ? lane + 1 : 0;
        before = node;
        if (star_find(fabric, trees->team, node, lane, trees->teams->scratch, &tree)) {
            tree_take(trees, &tree);
        }
    }
}

static bool has_free_port(const struct trees *trees)
{
    const struct fabric *fabric = trees->teams->request->fabric;
    uint32_t host = trees->team->host[0];
    for (uint32_t port = 0; port < fabric->port_first[host + 1] - fabric->port_first[host]; port++) {
        if (port_is_right(fabric, host, port, trees->is_in_server) && !(trees->used[0] >> port & 1)) {
            return true;
        }
    }
    return false;
}

/* Root by root and link by link, from another root on for every team. */
static void searched_take(struct trees *trees)
{
    struct teams *teams = trees->teams;
    struct team *team = trees->team;
    struct tree tree;
    uint32_t roots = 1, tried = 0;
    for (uint32_t at = 0; at < roots && tried < TREES_TRIED_MAX && has_free_port(trees); at++) {
        uint32_t lanes = 1;
        for (uint32_t lane = 0; lane < lanes && team->tree_count < TEAM_TREES_MAX; lane++, tried++) {
            uint32_t root = (teams->count + at) % roots;
            if (!tree_find(teams->request->fabric, team->host, team->member_count, root + roots * lane, teams->scratch, &tree)) {
                return;
            }
            if (roots == 1 && tree.root_count > 1) { /* now it is known how many there are */
                roots = tree.root_count;
                lane--;
                continue;
            }
            lanes = tree.lane_count;
            tree_take(trees, &tree);
        }
    }
}

static enum status team_refuse(const struct trees *trees, const struct replay_team *wanted)
{
    const struct fabric *fabric = trees->teams->request->fabric;
    char text[48];
    if (trees->has_lossy) {
        return diag_set(trees->teams->diag, STATUS_INPUT,
                        "switches are to combine for group \"%s\", which recovers from no loss, over links of %s that lose packets; "
                        "expected links.retry, or another algorithm (collective.*)", wanted->group, fabric->name);
    }
    if (trees->incapable == ID_NONE) {
        return diag_set(trees->teams->diag, STATUS_INPUT,
                        "switches are to combine for group \"%s\", but no tree of %sswitches of %s joins its %u ranks; expected "
                        "another algorithm (collective.*)", wanted->group, wanted->is_in_server ? "scale-up " : "", fabric->name,
                        wanted->member_count);
    }
    const char *part = fabric->parts->parts[fabric->node_part[trees->incapable]].name;
    return diag_set(trees->teams->diag, STATUS_INPUT,
                    "switches are to combine for group \"%s\", but %s of %s (part %s) cannot; expected a part with reduce_entries "
                    "(part.%s.reduce_entries), or another algorithm (collective.*)", wanted->group,
                    fabric_node_text(fabric, trees->incapable, text, sizeof text), fabric->name, part, part);
}

/* ---- groups ----------------------------------------------------------------------------------------------- */

static void group_note(struct teams *teams, uint32_t tree, enum team_stream stream, uint32_t owner)
{
    vec_push(teams->arena, teams->group, teams->group_count, teams->group_capacity) =
        (struct team_group){teams->count, (uint16_t)owner, (uint8_t)tree, (uint8_t)stream};
}

static void users_add(struct teams *teams, const struct tree *tree, uint64_t streams)
{
    for (uint32_t i = 0; i < tree->hop_count; i++) {
        uint32_t entries = entries_of(teams->request->fabric, tree->hops[i].node);
        uint32_t part = teams->request->fabric->node_part[tree->hops[i].node];
        uint64_t combine_ps = (uint64_t)part_normal(teams->request->fabric->parts, part, PART_REDUCE_PS);
        teams->users[tree->hops[i].node] += streams;
        teams->entries_max = entries < teams->entries_max ? entries : teams->entries_max;
        teams->combine_ps = combine_ps > teams->combine_ps ? combine_ps : teams->combine_ps;
    }
}

/* An owner has two streams: what is combined for it, and acknowledgements of what is copied from it. */
static void groups_add(struct trees *trees, const uint8_t *uses)
{
    struct teams *teams = trees->teams;
    struct team *team = trees->team;
    uint32_t *owner_group = arena_array(teams->arena, team->member_count, uint32_t), owners = 0;
    bool is_for_all = false;
    for (uint32_t tree = 0; tree < team->tree_count; tree++) {
        uint32_t group = group_add_copy(&teams->builder, &trees->tree[tree]);
        team->copy_group = tree == 0 ? group : team->copy_group;
        group_note(teams, tree, TEAM_STREAM_COPY, 0);
    }
    for (uint32_t member = 0; member < team->member_count; member++) {
        owner_group[member] = ID_NONE;
        is_for_all |= (uses[member] & TEAM_ALL) != 0;
        owners += (uses[member] & TEAM_OWNERS) != 0;
        for (uint32_t tree = 0; tree < team->tree_count && (uses[member] & TEAM_OWNERS) != 0; tree++) {
            uint32_t group = group_add_reduce_to(&teams->builder, &trees->tree[tree], member);
            owner_group[member] = tree == 0 ? group : owner_group[member];
            group_note(teams, tree, TEAM_STREAM_COMBINE_TO, member);
        }
    }
    team->owner_group = owner_group;
    for (uint32_t tree = 0; tree < team->tree_count && is_for_all; tree++) {
        uint32_t group = group_add_reduce(&teams->builder, &trees->tree[tree]);
        team->combine_group = tree == 0 ? group : team->combine_group;
        group_note(teams, tree, TEAM_STREAM_COMBINE, 0);
    }
    for (uint32_t tree = 0; tree < team->tree_count; tree++) {
        users_add(teams, &trees->tree[tree], 2 * owners + is_for_all);
    }
}

/* ---- teams ------------------------------------------------------------------------------------------------ */

static enum status hosts_set(struct teams *teams, const struct replay_team *wanted, struct team *team)
{
    uint32_t *host = arena_array(teams->arena, 2 * wanted->member_count, uint32_t), *rank = host + wanted->member_count;
    uint8_t *seen = arena_array(teams->scratch, teams->request->fabric->host_count, uint8_t);
    *team = (struct team){.member_count = wanted->member_count, .host = host, .rank = rank, .copy_group = ID_NONE,
                          .combine_group = ID_NONE};
    for (uint32_t i = 0; i < wanted->member_count; i++) {
        rank[i] = wanted->rank[i];
        host[i] = teams->request->rank_host[rank[i]];
        if (seen[host[i]]++ > 0) {
            return diag_set(teams->diag, STATUS_INPUT,
                            "switches are to combine for group \"%s\", of which host %u has several ranks; expected one rank a host",
                            wanted->group, host[i]);
        }
    }
    return STATUS_OK;
}

/* Groups are told from hosts by packets' dst, which has 20 bits. */
static enum status counts_check(const struct teams *teams, const struct replay_team *wanted)
{
    uint64_t addresses = teams->request->fabric->host_count + teams->group_count;
    if (wanted->member_count <= TEAM_MEMBERS_MAX && addresses <= FABRIC_HOSTS_MAX) {
        return STATUS_OK;
    }
    return diag_set(teams->diag, STATUS_INPUT,
                    "switches are to combine for group \"%s\" of %u ranks: hosts and groups of switches are %" PRIu64
                    ", with it; expected at most %u (and %u ranks a group)", wanted->group, wanted->member_count, addresses,
                    FABRIC_HOSTS_MAX, TEAM_MEMBERS_MAX);
}

static enum status team_make(struct teams *teams, const struct replay_team *wanted, struct team *team)
{
    enum status status = hosts_set(teams, wanted, team);
    if (status != STATUS_OK) {
        return status;
    }
    struct trees *trees = arena_one(teams->scratch, struct trees);
    *trees = (struct trees){.teams = teams, .team = team, .is_in_server = wanted->is_in_server, .incapable = ID_NONE};
    trees->used = arena_array(teams->scratch, team->member_count, uint64_t);
    trees->port = arena_array(teams->arena, (size_t)TEAM_TREES_MAX * team->member_count, uint8_t);
    if (wanted->is_in_server) {
        stars_take(trees);
    }
    if (team->tree_count == 0) {
        searched_take(trees);
    }
    if (team->tree_count == 0) {
        return team_refuse(trees, wanted);
    }
    team->port = trees->port;
    groups_add(trees, wanted->uses);
    return counts_check(teams, wanted);
}

static void team_visit(void *context, const struct replay_team *wanted)
{
    struct teams *teams = context;
    if (teams->status == STATUS_OK) {
        teams->scratch = arena_new_within(teams->arena, "team");
        teams->count = wanted->number;
        teams->status = team_make(teams, wanted, &teams->teams[wanted->number]);
        arena_free(teams->scratch);
    }
}

/* ---- windows ---------------------------------------------------------------------------------------------- */

/* What every stream of a switch may have, in packets. */
static uint64_t share_least(const struct teams *teams, uint32_t *node)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t at = 0; at < teams->request->fabric->node_count; at++) {
        uint64_t share = teams->users[at] == 0 ? UINT64_MAX : teams->entries_max / teams->users[at];
        *node = share < least ? at : *node;
        least = share < least ? share : least;
    }
    return least;
}

static enum status windows_set(struct teams *teams)
{
    const struct teams_request *request = teams->request;
    const struct fabric *fabric = request->fabric;
    uint32_t node = 0;
    uint64_t share = share_least(teams, &node);
    if (share == 0) {
        char text[48];
        return diag_set(teams->diag, STATUS_INPUT,
                        "the table of %s (part %s) has %u entries, but %" PRIu64 " streams of groups that it combines need one "
                        "each at least; expected smaller or fewer groups, or more reduce_entries",
                        fabric_node_text(fabric, node, text, sizeof text), fabric->parts->parts[fabric->node_part[node]].name,
                        teams->entries_max, teams->users[node]);
    }
    for (uint32_t i = 0; i < replay_team_count(request->replay); i++) {
        struct team *team = &teams->teams[i];
        uint64_t rate_bps = fabric->rate_bps[fabric->port_first[team->host[0]] + team->port[0]];
        uint64_t window = 2 * line_bytes(request->rtt_ps, rate_bps) / request->shape.packet_bytes + 8;
        window = window < share ? window : share;
        team->window = window < TEAM_WINDOW_MAX ? (uint32_t)window : TEAM_WINDOW_MAX;
    }
    return STATUS_OK;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

static void hosts_list(const struct teams *teams, struct team_table *table)
{
    uint32_t hosts = teams->request->fabric->host_count, *first = arena_array(teams->arena, hosts + 2, uint32_t), total = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        total += teams->teams[i].member_count;
        for (uint32_t member = 0; member < teams->teams[i].member_count; member++) {
            first[teams->teams[i].host[member] + 2]++;
        }
    }
    for (uint32_t host = 0; host < hosts; host++) {
        first[host + 2] += first[host + 1];
    }
    uint32_t *team = arena_array(teams->arena, total, uint32_t), *place = arena_array(teams->arena, total, uint32_t);
    for (uint32_t i = 0; i < table->count; i++) {
        for (uint32_t member = 0; member < teams->teams[i].member_count; member++) {
            uint32_t at = first[teams->teams[i].host[member] + 1]++;
            team[at] = i;
            place[at] = member;
        }
    }
    table->host_first = first;
    table->host_team = team;
    table->host_member = place;
}

enum status teams_make(const struct teams_request *request, struct arena *arena, const struct team_table **result,
                       struct diag *diag)
{
    uint32_t count = replay_team_count(request->replay);
    const char *hindrance = count == 0 ? NULL : teams_hindrance(request);
    *result = NULL;
    if (count == 0) {
        return STATUS_OK;
    }
    if (hindrance != NULL) {
        return diag_set(diag, STATUS_INPUT,
                        "switches are to combine and copy (nvls, sharp), which recovers from no loss, over %s; expected a fabric "
                        "that loses nothing, or another algorithm (collective.*)", hindrance);
    }
    struct teams teams = {.request = request, .arena = arena, .builder = {.arena = arena}, .entries_max = UINT32_MAX,
                          .teams = arena_array(arena, count, struct team),
                          .users = arena_array(arena, request->fabric->node_count, uint64_t), .diag = diag};
    replay_teams(request->replay, team_visit, &teams);
    enum status status = teams.status == STATUS_OK ? windows_set(&teams) : teams.status;
    if (status == STATUS_OK) {
        struct team_table *table = arena_one(arena, struct team_table);
        *table = (struct team_table){.teams = teams.teams, .count = count, .group = teams.group,
                                     .groups = groups_build(&teams.builder, teams.combine_ps, teams.entries_max)};
        hosts_list(&teams, table);
        *result = table;
    }
    return status;
}
