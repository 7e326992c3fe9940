// How an image of either physical order is cut into pieces for normalisation over channels.
//
// A unit is what its own statistics make independent of the rest: a channel of all samples or a
// group of channels of one sample where the pixels of a channel lie together; all channels of the
// batch, or of one sample, where the channels lie innermost. Units consist of pieces. All cuts
// depend on the shape alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "cpu/threads.h"
#include "ops/channel_norm.h"

namespace samara {

struct NormPiece {
  NormTile tile;         // empty pieces have no columns
  int64_t offset;        // of its first number
  int64_t coefficients;  // of its first column, or of all its numbers
  int64_t partial;       // where its sums are kept
};

// Numbers first, first + step, ...
struct NormRange {
  int64_t first, count, step;
};

struct NormLayout {
  int64_t samples, channels, pixels;
  int64_t groups;      // per sample; 0: statistics over all samples
  bool channels_last;  // physically; without pixels both are the same
  bool columns;        // channels innermost, or too few pixels for runs

  int64_t instances;   // samples with statistics of their own
  int64_t statistics;  // per instance
  int64_t width;       // coefficients per instance
  int64_t fold = 1;    // pixels side by side in one row of columns
  int64_t rows = 0, block = 0, row_blocks = 0, column_blocks = 0;
  int64_t chunk = 0, chunks = 0;  // of the pixels of a channel
  int64_t units, pieces;          // pieces per unit
  int64_t row_partials;           // partial results per unit
  bool streams;                   // results are more than the caches hold
  bool together;  // a unit's passes run one after the other, while its numbers are in the cache

  NormLayout(int64_t samples, int64_t channels, int64_t pixels, int64_t groups, bool last,
             int64_t itemsize)
      : samples(samples), channels(channels), pixels(pixels), groups(groups), channels_last(last) {
    constexpr int64_t kShortRun = 32;
    columns = last || pixels < kShortRun;
    channels_last = last || pixels == 1;
    instances = groups ? samples : 1;
    statistics = groups ? groups : channels;
    if (columns)
      cut_columns();
    else
      cut_runs();
    const int64_t unit_bytes = elements() / std::max<int64_t>(units, 1) * itemsize;
    streams = elements() * itemsize >= (int64_t{1} << 24);
    together = units >= 8 && unit_bytes <= (columns ? int64_t{1} << 22 : int64_t{1} << 19);
  }

  int64_t elements() const { return samples * channels * pixels; }
  int64_t channels_per_statistic() const { return groups ? channels / groups : 1; }
  // Numbers that one mean is taken over.
  int64_t count() const { return groups ? channels / groups * pixels : samples * pixels; }

  NormPiece piece(int64_t unit, int64_t i) const {
    return columns ? column_piece(unit, i) : run_piece(unit, i);
  }

  // Calls visit(statistic, channel, range, count) for all partial results of a unit, each of which
  // is of `count` numbers; `statistic` and `channel` count within the instance.
  template <class Visit>
  void partials_of(int64_t unit, Visit&& visit) const {
    if (!columns) {
      for (int64_t i = 0; i < pieces; ++i) {
        const NormPiece part = run_piece(unit, i);
        const int64_t channel = groups ? part.coefficients % channels : part.coefficients;
        visit(groups ? unit % groups : unit, channel, NormRange{part.partial, 1, 1},
              part.tile.columns);
      }
      return;
    }
    const int64_t share = channels_per_statistic();
    for (int64_t b = 0; b < row_blocks; ++b) {
      const NormTile tile = block_of(b);
      NormRange range = columns_of_channel(tile.columns / channels);
      const int64_t step = channels_last ? 1 : pixels;
      range.first = (slot(unit) * row_blocks + b) * width;
      for (int64_t s = 0; s < statistics; ++s)
        for (int64_t c = s * share; c < (s + 1) * share; ++c, range.first += step)
          visit(s, c, range, tile.rows);
    }
  }

  // The statistics [first, last) of a unit, counted over all instances.
  int64_t first_statistic(int64_t unit) const { return columns ? unit * statistics : unit; }
  int64_t last_statistic(int64_t unit) const {
    return columns ? (unit + 1) * statistics : unit + 1;
  }

  // Calls visit(statistic, channel, range), the first counted over all instances, for the channels
  // of a unit; the range names the channel's coefficients.
  template <class Visit>
  void channels_of(int64_t unit, Visit&& visit) const {
    const int64_t share = channels_per_statistic();
    const int64_t instance = columns ? unit : groups ? unit / groups : 0;
    const int64_t first = columns ? 0 : groups ? unit % groups : unit;
    const int64_t last = columns ? statistics : first + 1;
    const int64_t start = (columns ? slot(unit) : instance) * width;
    const int64_t step = columns && !channels_last ? pixels : 1;
    NormRange range = columns ? columns_of_channel(width / channels) : NormRange{0, 1, 1};
    for (int64_t s = first; s < last; ++s)
      for (int64_t c = s * share; c < (s + 1) * share; ++c) {
        range.first = start + c * step;
        visit(instance * statistics + s, c, range);
      }
  }

  // Runs a pass over all units. Its functions, each with a workspace that pass.workspace() gives:
  // prepare(unit) before anything else of the unit, collect(piece) of all pieces (unless
  // !pass.collects), finish(unit), apply(piece) of all pieces.
  template <class Pass>
  void run(const Pass& pass) const {
    if (apart()) {
      each_unit(elements(), [&](int64_t begin, int64_t end) {
        auto workspace = pass.workspace();
        for (int64_t unit = begin; unit < end; ++unit) run_unit(pass, workspace, unit);
      });
      return;
    }
    auto workspace = pass.workspace();
    if (together) {
      each_unit(elements(), [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) run_unit(pass, workspace, unit);
      });
      return;
    }
    const int64_t per_unit = units * width;
    each_unit(per_unit, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) pass.prepare(workspace, unit);
    });
    if (pass.collects) each_piece([&](const NormPiece& piece) { pass.collect(workspace, piece); });
    each_unit(partials(), [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) pass.finish(workspace, unit);
    });
    each_piece([&](const NormPiece& piece) { pass.apply(workspace, piece); });
  }

  // Sizes of a workspace.
  int64_t partials() const { return slots() * row_partials; }
  int64_t coefficients() const { return (columns ? slots() : instances) * width; }

 private:
  // Whether each thread's units follow one another in one small workspace.
  bool apart() const { return together && columns; }
  int64_t slots() const { return apart() ? 1 : units; }
  int64_t slot(int64_t unit) const { return apart() ? 0 : unit; }

  template <class Pass, class Workspace>
  void run_unit(const Pass& pass, Workspace& workspace, int64_t unit) const {
    pass.prepare(workspace, unit);
    for (int64_t i = 0; pass.collects && i < pieces; ++i) pass.collect(workspace, piece(unit, i));
    pass.finish(workspace, unit);
    for (int64_t i = 0; i < pieces; ++i) pass.apply(workspace, piece(unit, i));
  }
  // body(begin, end) for ranges of units; `work` is that of all of them.
  template <class Body>
  void each_unit(int64_t work, const Body& body) const {
    parallel_ranges(units, grain(work / std::max<int64_t>(units, 1)), body);
  }
  template <class Body>
  void each_piece(const Body& body) const {
    const int64_t all = units * pieces;
    parallel_ranges(all, grain(elements() / std::max<int64_t>(all, 1)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t i = begin; i < end; ++i) body(piece(i / pieces, i % pieces));
                    });
  }
  // How many things of that size make a tile.
  static int64_t grain(int64_t each) {
    constexpr int64_t kTile = int64_t{1} << 15;
    return std::max<int64_t>(kTile / std::max<int64_t>(each, 1), 1);
  }
  static int64_t cuts(int64_t n, int64_t step) { return (n + step - 1) / step; }

  // The columns of channel 0.
  NormRange columns_of_channel(int64_t count) const {
    return {0, count, channels_last ? channels : 1};
  }

  void cut_columns() {
    constexpr int64_t kEnoughColumns = 64, kLanes = 16, kPieceNumbers = int64_t{1} << 15;
    const int64_t all_rows =
        channels_last ? (groups ? pixels : samples * pixels) : (groups ? 1 : samples);
    const int64_t per_row = channels_last ? channels : channels * pixels;
    if (channels_last && channels < kEnoughColumns) {
      const int64_t whole = kLanes / std::gcd(channels, kLanes);
      fold = std::clamp<int64_t>(whole * cuts(kEnoughColumns, whole * channels), 1,
                                 std::max<int64_t>(all_rows, 1));
    }
    rows = all_rows;
    width = per_row * fold;
    column_blocks = cuts(width, kNormColumns);
    block = std::max<int64_t>(kPieceNumbers / std::clamp<int64_t>(width, 1, kNormColumns), 16);
    // The last block holds what does not fill a row.
    row_blocks = cuts(rows / fold, block) + (rows % fold ? 1 : 0);
    units = instances;
    pieces = row_blocks * column_blocks;
    row_partials = row_blocks * width;
  }

  void cut_runs() {
    constexpr int64_t kChunk = int64_t{1} << 14;
    width = channels;
    chunk = kChunk;
    chunks = cuts(pixels, chunk);
    units = groups ? samples * groups : channels;
    pieces = (groups ? channels / groups : samples) * chunks;
    row_partials = pieces;
  }

  NormTile block_of(int64_t b) const {
    const int64_t full = rows / fold;
    if (b * block >= full) return {1, rows % fold * (width / fold), width, streams};
    return {std::min(block, full - b * block), width, width, streams};
  }

  NormPiece column_piece(int64_t unit, int64_t i) const {
    const int64_t b = i / column_blocks, start = i % column_blocks * kNormColumns;
    NormTile tile = block_of(b);
    tile.columns = std::clamp<int64_t>(tile.columns - start, 0, kNormColumns);
    const int64_t row = std::min(b * block, rows / fold);
    return {tile, unit * (rows * (width / fold)) + row * width + start, slot(unit) * width + start,
            (slot(unit) * row_blocks + b) * width + start};
  }

  NormPiece run_piece(int64_t unit, int64_t i) const {
    const int64_t share = channels_per_statistic();
    const int64_t plane = groups ? unit * share + i / chunks : i / chunks * channels + unit;
    const int64_t start = i % chunks * chunk;
    return {{1, std::min(chunk, pixels - start), pixels, streams},
            plane * pixels + start,
            groups ? plane : unit,
            plane * chunks + i % chunks};
  }
};

}  // namespace samara
