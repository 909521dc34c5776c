#include "netsim/summary.h"

#include <inttypes.h>

static double us(uint64_t time_ps)
{
    return (double)time_ps / 1e6;
}

void summary_print(const struct result_summary *summary, FILE *stream)
{
    bool is_whole = summary->iteration_time_ps > 0;
    fprintf(stream, "        %s    %12.3f us, of it exposed communication %.3f us (%.1f %%)\n",
            is_whole ? "iteration time" : "cut short at  ",
            us(is_whole ? summary->iteration_time_ps : summary->makespan_ps), us(summary->exposed_communication_ps),
            100 * summary->exposed_communication_fraction);
    if (is_whole && summary->sample_time_factor != 1) {
        fprintf(stream, "        full step         %12.3f us on %" PRIu64 " ranks: the sample's iteration time times %.4g\n",
                us(summary->full_step_time_ps), summary->full_rank_count, summary->sample_time_factor);
    }
    fprintf(stream, "        compute           %12.3f us, mean over ranks\n", us(summary->compute_ps));
    if (summary->reconfiguration_ps > 0) {
        fprintf(stream, "        reconfiguration   %12.3f us dark in all, %.3f us of it with messages waiting\n",
                us(summary->reconfiguration_ps), us(summary->reconfiguration_exposed_ps));
    }
    fprintf(stream, "        messages          %12" PRIu64 ", completion p50 %.3f us, p99 %.3f us, max %.3f us\n",
            summary->message_count, us(summary->fct_p50_ps), us(summary->fct_p99_ps), us(summary->fct_max_ps));
    if (summary->slowdown_p50 > 0) { /* messages to teams of hosts have no idle time to be held against */
        fprintf(stream, "        slowdown          %12.3f p50, %.3f p99 over an idle fabric\n", summary->slowdown_p50,
                summary->slowdown_p99);
    }
    if (summary->collective_busbw_gbps > 0) {
        fprintf(stream, "        busbw             %12.2f GB/s, mean of the collectives by bytes\n",
                summary->collective_busbw_gbps);
    }
    fprintf(stream, "        packet-hops       %12" PRIu64 " (acknowledgements counted), %" PRIu64 " dropped\n",
            summary->packet_hop_count, summary->drop_count);
    fprintf(stream, "        energy            %12.3f J %s, of it network %.3f J; %.1f W of network a GPU; "
                    "%.1f pJ a useful bit\n",
            summary->energy_per_iteration_j, is_whole ? "a step" : "so far", summary->network_energy_per_iteration_j, summary->network_w_per_gpu,
            summary->energy_pj_per_useful_bit);
}

static json_t *column_json(const struct result_column *column, const void *row)
{
    const char *at = (const char *)row + column->offset;
    switch (column->type) {
    case COLUMN_U64:
        return json_integer((json_int_t) * (const uint64_t *)(const void *)at);
    case COLUMN_U32:
        return json_integer((json_int_t) * (const uint32_t *)(const void *)at);
    case COLUMN_F64:
        return json_real(*(const double *)(const void *)at);
    default:
        return json_string(*(const char *const *)(const void *)at);
    }
}

json_t *summary_json(const struct result_summary *summary)
{
    json_t *object = json_object();
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == RESULT_TABLE_summary) {
            json_object_set_new(object, column->name, column_json(column, summary));
        }
    }
    return object;
}
