#pragma once
// A disk in memory that keeps its word and nothing more: what was not synced is lost, whole or by sector, in any order, when
// the power fails. From one seed.
//
//   crash     sectors of 512 bytes that were written since the last sync are old or new, each by itself; an unsynced length
//             is the old or the new one; of the changed names since the last sync_names the first n are there, n by chance
//   faults    the power fails at the n-th call, a sync fails, the space ends: at any place of any schedule
//   errors    after a power failure every call is `cancelled` until crash() or kill() has been called; files opened before stay dead
//   threads   one

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "holdfast/trade/journal_disk.hpp"

namespace holdfast::testing {

class SimDisk final : public trade::JournalDisk {
public:
    explicit SimDisk(std::uint64_t seed);
    ~SimDisk() override;

    Result<std::vector<std::string>> list() const override;
    Result<std::unique_ptr<trade::JournalFile>> open(const std::string& name, bool writable) const override;
    Result<std::unique_ptr<trade::JournalFile>> create(const std::string& name) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& name) override;
    Status sync_names() override;

    /// Calls that change something, so far: the places at which the power can fail.
    std::uint64_t calls() const { return calls_; }
    /// The call after `n` more of them fails, half done as a crash leaves it, and so do all later ones.
    void fail_power_after(std::uint64_t n) { power_left_ = n; }
    bool has_power() const { return power_; }
    /// The n-th sync from now on (from 1) fails with io, and drops what it should have kept.
    void fail_sync(std::uint64_t n) { sync_failure_ = n; }
    /// Bytes that files may take together. Growing files into holes counts, as does reserve.
    void set_room(std::uint64_t bytes) { room_ = bytes; }

    /// Loses what was not synced; the power is back.
    void crash();
    /// The process died, the machine did not: all that was written is there, and what was not synced can still be lost.
    void kill();

    /// For damage: the bytes as they are now. Null when there is no such file.
    Bytes* content(const std::string& name);

private:
    struct Node;
    class File;
    using Names = std::map<std::string, std::shared_ptr<Node>>;
    Status spend();
    std::uint64_t used() const;

    mutable std::mt19937_64 random_;
    Names names_;
    std::vector<Names> past_names_;    // [0] as of the last sync_names, then after each change but the last
    std::uint64_t calls_ = 0, epoch_ = 0;
    std::uint64_t power_left_ = ~std::uint64_t{0}, sync_failure_ = 0, room_ = ~std::uint64_t{0};
    bool power_ = true;
};

}    // namespace holdfast::testing
