#include "netsim/fabric_export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- edges -------------------------------------------------------------------------------------------- */

struct edge {
    uint32_t left, right;                           /* left < right, but where right is an optical switch */
    uint64_t rate_bps, back_bps, delay_ps, back_ps; /* from left to right, and back */
    uint64_t count;
};

struct edges {
    struct edge *edge;
    size_t count, capacity;
};

static int compare_edges(const void *left_, const void *right_)
{
    const struct edge *left = left_, *right = right_;
    const uint64_t a[] = {left->left,     left->right,    left->rate_bps,
                          left->back_bps, left->delay_ps, left->back_ps};
    const uint64_t b[] = {right->left,     right->right,    right->rate_bps,
                          right->back_bps, right->delay_ps, right->back_ps};
    for (size_t i = 0; i < sizeof a / sizeof a[0]; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}

static void fibres_list(const struct fabric *fabric, struct arena *arena, struct edges *edges)
{
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        const struct optical *optical = &fabric->optical[i];
        for (uint32_t k = 0; k < optical->port_count; k++) {
            uint32_t port = optical->port[k];
            uint64_t rate_bps = fabric->rate_bps[port], delay_ps = link_delay_ps(fabric, port);
            if (fabric->port_peer[port] == ID_NONE) {
                vec_push(arena, edges->edge, edges->count, edges->capacity) = (struct edge){
                    fabric->port_node[port], optical->node, rate_bps, rate_bps, delay_ps, delay_ps, 1};
            }
        }
    }
}

static struct edges edges_list(const struct fabric *fabric, struct arena *arena)
{
    struct edges edges = {NULL, 0, 0};
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t peer = fabric->port_peer[port];
        uint32_t left = fabric->port_node[port], right = peer == ID_NONE ? left : fabric->port_node[peer];
        if (left < right) {
            vec_push(arena, edges.edge, edges.count, edges.capacity) =
                (struct edge){left,
                              right,
                              fabric->rate_bps[port],
                              fabric->rate_bps[peer],
                              link_delay_ps(fabric, port),
                              link_delay_ps(fabric, peer),
                              1};
        }
    }
    fibres_list(fabric, arena, &edges);
    if (edges.count > 0) {
        qsort(edges.edge, edges.count, sizeof *edges.edge, compare_edges);
    }
    size_t kept = 0;
    for (size_t i = 0; i < edges.count; i++) {
        if (kept > 0 && compare_edges(&edges.edge[kept - 1], &edges.edge[i]) == 0) {
            edges.edge[kept - 1].count++;
        } else {
            edges.edge[kept++] = edges.edge[i];
        }
    }
    edges.count = kept;
    return edges;
}

static const char *kind_text(const struct fabric *fabric, uint32_t node)
{
    static const char *const names[] = {
        [NODE_HOST] = "host", [NODE_SWITCH] = "switch", [NODE_OPTICAL] = "optical"};
    return names[fabric->node_kind[node]];
}

/* h3, s40, o64: the names that edge_list reads. Returns `text`. */
static char *node_name(const struct fabric *fabric, uint32_t node, char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%c%" PRIu32, kind_text(fabric, node)[0], node);
    return text;
}

/* Names come from files and may hold anything. */
static const char *escaped(const char *text, struct arena *arena)
{
    char *copy = arena_alloc(arena, 6 * strlen(text) + 1);
    size_t used = 0;
    for (const char *at = text; *at != 0; at++) {
        bool is_plain = strchr("<>&\"\\", *at) == NULL && (unsigned char)*at >= ' ';
        used += is_plain ? (copy[used] = *at, 1u) : (size_t)sprintf(copy + used, "&#%d;", (unsigned char)*at);
    }
    copy[used] = 0;
    return copy;
}

/* ---- dot ---------------------------------------------------------------------------------------------- */

static enum status dot_write(const struct fabric *fabric, struct arena *arena, FILE *stream,
                             struct diag *diag)
{
    static const char *const shapes[] = {
        [NODE_HOST] = "circle", [NODE_SWITCH] = "box", [NODE_OPTICAL] = "diamond"};
    struct edges edges = edges_list(fabric, arena);
    char left[16], right[16], rate[48];
    (void)diag;
    fprintf(stream, "graph \"%s\" {\n", escaped(fabric->name, arena));
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        fprintf(stream, "  %s [shape=%s, tier=%u];\n", node_name(fabric, node, left, sizeof left),
                shapes[fabric->node_kind[node]], fabric->node_tier[node]);
    }
    for (size_t i = 0; i < edges.count; i++) {
        const struct edge *edge = &edges.edge[i];
        quantity_print_u64(QUANTITY_RATE, edge->rate_bps, rate, sizeof rate);
        fprintf(stream, "  %s -- %s [label=\"%" PRIu64 " x %s\"];\n",
                node_name(fabric, edge->left, left, sizeof left),
                node_name(fabric, edge->right, right, sizeof right), edge->count, rate);
    }
    fprintf(stream, "}\n");
    return STATUS_OK;
}

/* ---- GraphML ------------------------------------------------------------------------------------------ */

static enum status graphml_write(const struct fabric *fabric, struct arena *arena, FILE *stream,
                                 struct diag *diag)
{
    static const char *const keys[][3] = {{"node", "kind", "string"},   {"node", "tier", "int"},
                                          {"node", "part", "string"},   {"edge", "rate_bps", "long"},
                                          {"edge", "delay_ps", "long"}, {"edge", "links", "long"}};
    struct edges edges = edges_list(fabric, arena);
    char left[16], right[16];
    (void)diag;
    fprintf(stream, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml "
                    "xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        fprintf(stream, "  <key id=\"%s\" for=\"%s\" attr.name=\"%s\" attr.type=\"%s\"/>\n", keys[i][1],
                keys[i][0], keys[i][1], keys[i][2]);
    }
    fprintf(stream, "  <graph id=\"%s\" edgedefault=\"undirected\">\n", escaped(fabric->name, arena));
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        fprintf(stream,
                "    <node id=\"%s\"><data key=\"kind\">%s</data><data key=\"tier\">%u</data>"
                "<data key=\"part\">%s</data></node>\n",
                node_name(fabric, node, left, sizeof left), kind_text(fabric, node), fabric->node_tier[node],
                fabric->parts->parts[fabric->node_part[node]].name);
    }
    for (size_t i = 0; i < edges.count; i++) {
        const struct edge *edge = &edges.edge[i];
        fprintf(stream,
                "    <edge source=\"%s\" target=\"%s\"><data key=\"rate_bps\">%" PRIu64 "</data>"
                "<data key=\"delay_ps\">%" PRIu64 "</data><data key=\"links\">%" PRIu64 "</data></edge>\n",
                node_name(fabric, edge->left, left, sizeof left),
                node_name(fabric, edge->right, right, sizeof right), edge->rate_bps, edge->delay_ps,
                edge->count);
    }
    fprintf(stream, "  </graph>\n</graphml>\n");
    return STATUS_OK;
}

/* ---- SimGrid ------------------------------------------------------------------------------------------ */

/* A platform of SimGrid 3: a zone that routes by Dijkstra over links between neighbours. It takes one way a
 * pair, so links between the same two nodes become one of their sum. Half of a switch's latency stands on
 * each link that it ends. */
static uint64_t edge_latency_ps(const struct fabric *fabric, const struct edge *edge)
{
    uint64_t switches_ps = 0;
    switches_ps += edge->left >= fabric->host_count ? fabric->node_latency_ps[edge->left] : 0;
    switches_ps += edge->right >= fabric->host_count ? fabric->node_latency_ps[edge->right] : 0;
    return edge->delay_ps + switches_ps / 2;
}

static void simgrid_route(const struct fabric *fabric, FILE *stream, uint32_t from, uint32_t to, size_t link,
                          const char *direction)
{
    char left[16], right[16];
    fprintf(stream,
            "    <route src=\"%s\" dst=\"%s\" symmetrical=\"NO\"><link_ctn id=\"l%zu\" "
            "direction=\"%s\"/></route>\n",
            node_name(fabric, from, left, sizeof left), node_name(fabric, to, right, sizeof right), link,
            direction);
}

static enum status simgrid_write(const struct fabric *fabric, struct arena *arena, FILE *stream,
                                 struct diag *diag)
{
    if (fabric->optical_count > 0) {
        return diag_set(diag, STATUS_INPUT,
                        "fabric %s: has optical circuits, which SimGrid cannot express; expected a "
                        "fabric of packet switches",
                        fabric->name);
    }
    struct edges edges = edges_list(fabric, arena);
    char name[16];
    fprintf(stream,
            "<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
            "<platform version=\"4.1\">\n  <zone id=\"%s\" routing=\"Dijkstra\">\n",
            escaped(fabric->name, arena));
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        bool is_host = node < fabric->host_count;
        fprintf(stream, is_host ? "    <host id=\"%s\" speed=\"1Gf\"/>\n" : "    <router id=\"%s\"/>\n",
                node_name(fabric, node, name, sizeof name));
    }
    size_t link_count = 0;
    struct edge *link = arena_array(arena, edges.count, struct edge);
    for (size_t i = 0; i < edges.count; i++) {
        const struct edge *edge = &edges.edge[i];
        bool is_same = link_count > 0 && link[link_count - 1].left == edge->left &&
                       link[link_count - 1].right == edge->right;
        link[link_count] = *edge;
        link[link_count].rate_bps = 0;
        link_count += !is_same;
        link[link_count - 1].rate_bps += edge->rate_bps * edge->count;
    }
    for (size_t i = 0; i < link_count; i++) {
        fprintf(stream,
                "    <link id=\"l%zu\" bandwidth=\"%" PRIu64 "bps\" latency=\"%" PRIu64
                "ps\" sharing_policy=\"SPLITDUPLEX\"/>\n",
                i, link[i].rate_bps, edge_latency_ps(fabric, &link[i]));
    }
    for (size_t i = 0; i < link_count; i++) {
        simgrid_route(fabric, stream, link[i].left, link[i].right, i, "UP");
        simgrid_route(fabric, stream, link[i].right, link[i].left, i, "DOWN");
    }
    fprintf(stream, "  </zone>\n</platform>\n");
    return STATUS_OK;
}

/* ---- lists of links ----------------------------------------------------------------------------------- */

/* What the family edge_list reads; latencies of switches, queues and parts are left out. */
static enum status csv_write(const struct fabric *fabric, struct arena *arena, FILE *stream,
                             struct diag *diag)
{
    if (fabric->optical_count > 0) {
        return diag_set(diag, STATUS_INPUT,
                        "fabric %s: has optical circuits, which a list of links cannot express; "
                        "expected a fabric of packet switches",
                        fabric->name);
    }
    struct edges edges = edges_list(fabric, arena);
    char left[16], right[16];
    fprintf(stream, "from,to,rate,delay,links\n");
    for (size_t i = 0; i < edges.count; i++) {
        const struct edge *edge = &edges.edge[i];
        fprintf(stream, "%s,%s,%" PRIu64 "bps,%" PRIu64 "ps,%" PRIu64 "\n",
                node_name(fabric, edge->left, left, sizeof left),
                node_name(fabric, edge->right, right, sizeof right), edge->rate_bps, edge->delay_ps,
                edge->count);
    }
    return STATUS_OK;
}

/* ---- schedules ---------------------------------------------------------------------------------------- */

/* The time-flow table: who reaches whom from when until when, a line a window of a gate. */
static enum status schedule_write(const struct fabric *fabric, struct arena *arena, FILE *stream,
                                  struct diag *diag)
{
    (void)arena;
    if (fabric->port_gate == NULL && fabric->plan != PLAN_NONE) {
        return diag_set(diag, STATUS_INPUT,
                        "fabric %s: its circuits are planned from a job, and the table circuits of its result says when they "
                        "stood; expected a fabric of cyclic circuits", fabric->name);
    }
    if (fabric->port_gate == NULL) {
        return diag_set(diag, STATUS_INPUT,
                        "fabric %s: has no schedule, its links are always open; expected a fabric of cyclic circuits",
                        fabric->name);
    }
    char from[16], to[16];
    fprintf(stream, "from,to,port,transmitter,period_ps,open_ps,close_ps,rate_bps\n");
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t id = fabric->port_gate[port], peer = fabric->port_peer[port];
        const struct gate *gate = id == ID_NONE || peer == ID_NONE ? NULL : &fabric->gates[id];
        for (uint32_t i = 0; gate != NULL && i < gate->window_count; i++) {
            const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
            fprintf(stream, "%s,%s,%" PRIu32 ",%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
                    node_name(fabric, fabric->port_node[port], from, sizeof from),
                    node_name(fabric, fabric->port_node[peer], to, sizeof to), port,
                    fabric->port_line == NULL ? port : fabric->port_line[port], gate->period_ps, window->open_ps,
                    window->close_ps, fabric->rate_bps[port]);
        }
    }
    return STATUS_OK;
}

const struct fabric_export fabric_exports[] = {
    {"simgrid", "platform file of SimGrid 3 (XML), one way a pair", simgrid_write},
    {"dot", "graph for Graphviz", dot_write},
    {"graphml", "graph with rates and delays", graphml_write},
    {"csv", "list of links for the family edge_list", csv_write},
    {"schedule", "windows of cyclic circuits as CSV: who reaches whom, from when, until when", schedule_write},
    {NULL, NULL, NULL},
};

const struct fabric_export *fabric_export_find(const char *name)
{
    for (const struct fabric_export *export = fabric_exports; export->name != NULL; export ++) {
        if (strcmp(export->name, name) == 0) {
            return export;
        }
    }
    return NULL;
}
