// The entry points of the op's kernels, behind act-stages.metal.

#ifndef ACT_MEMORY // test/native/metal has another
#define ACT_MEMORY [[threadgroup(0)]]
#endif

#define ACT_OPERANDS \
    constant ggml_metal_kargs_act & args    [[buffer(0)]], \
    device const char             * q       [[buffer(1)]], \
    device const char             * k       [[buffer(2)]], \
    device const char             * v       [[buffer(3)]], \
    device const char             * mask    [[buffer(4)]], \
    device const int32_t          * keys    [[buffer(5)]], \
    device const int32_t          * entries [[buffer(6)]], \
    device int32_t                * state   [[buffer(7)]], \
    device float                  * scratch [[buffer(8)]], \
    device float                  * o       [[buffer(9)]], \
    threadgroup float             * mem     ACT_MEMORY, \
    uint3                           group   [[threadgroup_position_in_grid]], \
    uint                            t       [[thread_index_in_threadgroup]]

#define ACT_NODE(name) \
    const act_node name = { \
        args, q, k, v, mask, keys, entries + (args.entry0 + (int) group.z)*ACT_ENTRY_SIZE, state, scratch, o, (int) group.z \
    }

kernel void kernel_act_scores(ACT_OPERANDS) {
    ACT_NODE(n);
    act_scores<false, ACT_TILE_ROWS/4, 4>(n, mem, group, t);
}

kernel void kernel_act_scores_few(ACT_OPERANDS) {
    ACT_NODE(n);
    act_scores<true, 1, 1>(n, mem, group, t);
}

kernel void kernel_act_sums(ACT_OPERANDS) {
    ACT_NODE(n);
    act_sums(n, mem, group, t);
}

kernel void kernel_act_select(ACT_OPERANDS) {
    ACT_NODE(n);
    act_select<false>(n, mem, t);
}

kernel void kernel_act_select_few(ACT_OPERANDS) {
    ACT_NODE(n);
    act_select<true>(n, mem, t);
}

kernel void kernel_act_correct(ACT_OPERANDS) {
    ACT_NODE(n);
    act_correct<false>(n, mem, group, t);
}

kernel void kernel_act_correct_few(ACT_OPERANDS) {
    ACT_NODE(n);
    act_correct<true>(n, mem, group, t);
}
