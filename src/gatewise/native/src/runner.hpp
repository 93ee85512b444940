// One thread's way through a call: chunk by chunk, step by step, phase by phase.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "gradients.hpp"

namespace gatewise {

// Where the streams and carried values of one chunk lie.
struct Places {
    std::vector<float*> streams, before, after;
    ptrdiff_t stride = 0, before_stride = 0, after_stride = 0;
    int row = LANES;  // words to the next row
};

struct Region : Places {
    Places bf16;  // the same in bfloat16, of those that products read; null for the others
};

// A value in memory, block by block: where its first block and row are.
struct BlockView {
    float* base;
    ptrdiff_t block;  // words to the next block
};

struct ViewOf {
    int value;  // of a phase
    BlockView view;
};

// The rows that a phase runs over.
struct RowRange {
    int flat;           // first of them, in the chunk
    int before, after;  // first of them, among carried values
    int count;
    int parity;  // which of the two buffers of gradients arrives
};

// One thread's run over one part of the rows: alone, or with the others of its team over all of them.
class Runner {
public:
    Runner(const CallPlan& plan, const Part& part, const Member& member, float* scratch, float* totals)
        : plan_(plan), part_(part), member_(member), scratch_(scratch), totals_(totals) {
        size_t place = 0;
        for (const Total& total : plan_.program.totals) {
            total_places_.push_back(place);
            place += plan_.blocks(total.size) * LANES;
        }
        // Short enough for the next call to begin soon, long enough for products of x to be worth taking in advance.
        const int rows = std::accumulate(part.running.begin(), part.running.end(), 0);
        slice_rows_ = std::clamp(rows / 16, ROWS, 64);
    }

    void forward(const std::vector<Rows>& state, const std::vector<Rows>& last, float* kept,
                 const std::vector<size_t>* places, float* local, const Extent& local_extent, float* bf16);
    void backward(const std::vector<Rows>& dstate, float* kept, const std::vector<size_t>& places, float* local,
                  float* bf16, float* paired, float* ring, bool want_dx, const std::vector<Gradient>& gradients);

    // One step of the first `count` rows of what lies there. Outputs go nowhere else.
    void step(const Region& region, int count) { run_phases(When::step, region, {0, 0, 0, count, 0}); }

private:
    Region region(const Chunk& chunk, float* kept, float* local, float* history, float* bf16) const;
    void place_bf16(float* bf16, Region& region) const;
    void run_phases(When when, const Region& region, const RowRange& range);
    void run_phase(int number, const Region& region, const RowRange& range, Range panels);
    struct PreparedPass {  // a pass, for the blocks of one panel
        PreparedPass() {}    // not cleared: there are many in a step, and nothing beyond `columns` is read
        Pass::Start start;
        int first, count;  // segments
        int columns;
        int block[COLUMNS];          // of each column, its block of the tile,
        int value[COLUMNS];          // its accumulator,
        bool begin[COLUMNS];         // whether its sum begins here,
        const float* from[COLUMNS];  // with what,
        int stride[COLUMNS];         // and how far that is from row to row
    };
    struct Tile {       // what a phase works on at a time
        bool gathered;  // in scratch: blocks of few rows, one behind the other
        bool only;      // of its panel
        int width;      // values of the phase
        int first, blocks;
        int number, row, rows;
    };
    struct Quantised {  // a vector of a phase's products
        Place place;
        int index, size, rows;
        size_t bytes, scales;  // where they begin
    };
    void quantise(const Phase& phase, const Region& region, const RowRange& range);
    int find_quantised(Place place, int index) const;
    void find_values(const Phase& phase, const Region& region, const RowRange& range, int length);
    static bool in_place(const BlockView& view, const Tile& tile);
    void lay_out(const Phase& phase, const Tile& tile);
    void read_values(const Phase& phase, const Tile& tile);
    struct Factor {  // a share of a phase's products
        explicit Factor(const Share& share) : share(share) {}
        const Share& share;
        BlockView vector{};
        int move = 0;                    // from row to row
        const float* scales = nullptr;   // of int8
        const float* weights = nullptr;
        ptrdiff_t size = 0;  // of a panel's
        int depth = -1;      // -1: the panel says, as units multiply those of their heads alone
    };
    void find_factors(int number, const Region& region, const RowRange& range);
    void prepare(int number, const Region& region, const RowRange& range, int panel, int count, bool only);
    void multiply(const PreparedPass& prepared, const Tile& tile);
    float* at(const Tile& tile, int block, int value) const;
    void receive(const Phase& phase, const Region& region, const RowRange& range, const Tile& tile);
    void run_program(const Phase& phase, const Tile& tile);
    void write_values(const Phase& phase, const Tile& tile);
    void emit(const Phase& phase, const RowRange& range, const Tile& tile);
    BlockView view(Place place, int index, const Places& places, const RowRange& range) const;
    void round(const float* from, ptrdiff_t stride, float* to, int rows, int units, Range blocks) const;
    void round_kept(const Region& region) const;
    void pair_operands(const Region& region, const std::vector<Gradient>& gradients, float* paired);
    void load_input(const Region& region, int first, int count);
    std::vector<int> slices() const;
    std::vector<Span> spans(Place vector) const;
    void outer_products(const Region& region, const std::vector<Gradient>& gradients, bool begin);
    struct OuterFactor {  // of an outer product: gradients of a sum,
        BlockView values;
        Gradient to;  // and where their products with the vector go,
        bool add;     // to what is there already
    };
    void multiply_few(const Outer& outer, const std::vector<OuterFactor>& factors, const BlockView& vector);
    void multiply_heads(const Outer& outer, const std::vector<OuterFactor>& factors, const BlockView& vector);
    void multiply_many(const Outer& outer, const std::vector<OuterFactor>& factors, const BlockView& vector);
    bool begins_anew(int flat) const;
    void reset_rows(const Region& region, const RowRange& range, int row);
    void stop_gradients(const RowRange& range);

    const CallPlan& plan_;
    const Part& part_;
    const Member& member_;
    float* const scratch_;
    float* const totals_;
    const Chunk* chunk_ = nullptr;
    int slice_rows_;  // about how many rows are in a slice
    float* ring_[2] = {nullptr, nullptr};
    std::vector<size_t> ring_places_, total_places_;
    std::vector<float> means_;      // of the phase, by row
    std::vector<float*> pointers_;  // where the values of a tile are, by block
    std::vector<ViewOf> views_;    // values in memory,
    std::vector<ViewOf> rounded_;  // those whose bfloat16 a product will read
    std::vector<Quantised> quantised_;
    std::vector<float> quantised_bytes_;  // and scales
    std::vector<Factor> factors_;
    std::vector<PreparedPass> prepared_;
    std::vector<Segment> segments_;  // of what is prepared, at the first row,
    std::vector<int> moves_;         // and how far their vectors move from row to row
    int first_ = 0;                  // block at which the pointers begin
    bool from_last_ = true;          // panels are taken from the last to the first
    ptrdiff_t ring_stride_ = 0, paired_stride_ = 0;
    std::vector<float*> paired_;     // the weight gradients' operands by pairs of rows
};

}  // namespace gatewise
