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
  int64_t partials;               // in all
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
    together = units >= 8 && unit_bytes <= (int64_t{1} << 19);
  }

  int64_t elements() const { return samples * channels * pixels; }
  int64_t channels_per_statistic() const { return groups ? channels / groups : 1; }
  // Numbers that one mean is taken over.
  int64_t count() const { return groups ? channels / groups * pixels : samples * pixels; }
  NormPiece piece(int64_t unit, int64_t i) const {
    return columns ? column_piece(unit, i) : run_piece(unit, i);
  }

  // Calls visit(statistic, channel, partial, count) for all partial results of a unit: `statistic`
  // and `channel` count within the instance.
  template <class Visit>
  void partials_of(int64_t unit, Visit&& visit) const {
    if (!columns) {
      for (int64_t i = 0; i < pieces; ++i) {
        const NormPiece part = run_piece(unit, i);
        const int64_t channel = groups ? part.coefficients % channels : part.coefficients;
        visit(groups ? unit % groups : unit, channel, part.partial, part.tile.columns);
      }
      return;
    }
    for (int64_t b = 0; b < row_blocks; ++b) {
      const NormTile tile = block_of(b);
      const int64_t first = (unit * row_blocks + b) * width;
      each_column(tile.columns, [&](int64_t statistic, int64_t channel, int64_t v) {
        visit(statistic, channel, first + v, tile.rows);
      });
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
    const int64_t start = instance * width, apart = columns && !channels_last ? pixels : 1;
    NormRange range{0, columns ? (channels_last ? fold : pixels) : 1, channels_last ? channels : 1};
    for (int64_t s = first; s < last; ++s)
      for (int64_t c = s * share; c < (s + 1) * share; ++c) {
        range.first = start + c * apart;
        visit(instance * statistics + s, c, range);
      }
  }

  // collect(unit, piece), finish(unit) once all its pieces are collected, apply(unit, piece).
  template <class Collect, class Finish, class Apply>
  void run(bool collects, bool applies, const Collect& collect, const Finish& finish,
           const Apply& apply) const {
    constexpr int64_t kGrain = int64_t{1} << 15;
    if (together) {
      parallel_ranges(units, grain(kGrain, elements() / units), [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) {
          for (int64_t i = 0; collects && i < pieces; ++i) collect(piece(unit, i));
          finish(unit);
          for (int64_t i = 0; applies && i < pieces; ++i) apply(piece(unit, i));
        }
      });
      return;
    }
    const int64_t all = units * pieces,
                  some = grain(kGrain, elements() / std::max<int64_t>(all, 1));
    const auto each = [&](const auto& body) {
      parallel_ranges(all, some, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) body(piece(i / pieces, i % pieces));
      });
    };
    if (collects) each(collect);
    parallel_ranges(units, grain(kGrain, partials / std::max<int64_t>(units, 1)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t unit = begin; unit < end; ++unit) finish(unit);
                    });
    if (applies) each(apply);
  }

 private:
  static int64_t grain(int64_t work, int64_t each) {
    return std::max<int64_t>(work / std::max<int64_t>(each, 1), 1);
  }
  static int64_t cuts(int64_t n, int64_t step) { return (n + step - 1) / step; }

  // visit(statistic, channel, column) for the first columns of an instance.
  template <class Visit>
  void each_column(int64_t count, Visit&& visit) const {
    const int64_t share = channels_per_statistic();
    const int64_t times = channels_last ? 1 : pixels;
    for (int64_t v = 0; v < count;)
      for (int64_t s = 0; s < statistics; ++s)
        for (int64_t c = s * share; c < (s + 1) * share; ++c)
          for (int64_t k = 0; k < times; ++k) visit(s, c, v++);
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
    partials = instances * row_blocks * width;
  }

  void cut_runs() {
    constexpr int64_t kChunk = int64_t{1} << 14;
    width = channels;
    chunk = kChunk;
    chunks = cuts(pixels, chunk);
    units = groups ? samples * groups : channels;
    pieces = (groups ? channels / groups : samples) * chunks;
    partials = samples * channels * chunks;
  }

  NormTile block_of(int64_t b) const {
    const int64_t full = rows / fold;
    if (b * block >= full) return {1, rows % fold * (width / fold), width};
    return {std::min(block, full - b * block), width, width};
  }

  NormPiece column_piece(int64_t unit, int64_t i) const {
    const int64_t b = i / column_blocks, start = i % column_blocks * kNormColumns;
    NormTile tile = block_of(b);
    tile.columns = std::clamp<int64_t>(tile.columns - start, 0, kNormColumns);
    const int64_t row = std::min(b * block, rows / fold);
    return {tile, unit * (rows * (width / fold)) + row * width + start, unit * width + start,
            (unit * row_blocks + b) * width + start};
  }

  NormPiece run_piece(int64_t unit, int64_t i) const {
    const int64_t share = channels_per_statistic();
    const int64_t plane = groups ? unit * share + i / chunks : i / chunks * channels + unit;
    const int64_t start = i % chunks * chunk;
    return {{1, std::min(chunk, pixels - start), pixels},
            plane * pixels + start,
            groups ? plane : unit,
            plane * chunks + i % chunks};
  }
};

}  // namespace samara
