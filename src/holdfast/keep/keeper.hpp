#pragma once
// Watches configuration files: each good change is kept as a version, each bad one is told with its place, and put back if
// asked. The caller says when to look (os/folder_watch, or from time to time); time comes in.
//
//   promise   what was good once comes back: a version is durable before it is told; a restore first keeps the bad content
//             ("rejected/"), and never takes the place of what somebody wrote meanwhile
//   threads   one

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/keep/settle.hpp"
#include "holdfast/keep/versions.hpp"
#include "holdfast/os/folder_watch.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::keep {

/// One file and how it is treated.
struct KeptFile {
    std::string path;    // absolute
    policy::DocumentFormat format = policy::DocumentFormat::json;
    std::string versions;    // the folder of its versions
    unsigned count = 5;
    std::uint64_t size_max = 1u << 20;
    bool restore = false;    // bad content is replaced by the newest good version
    Duration settle = std::chrono::milliseconds(250);
};
/// The files of all [[keep]] tables, in their order.
std::vector<KeptFile> kept_files(const policy::Config& config);
/// As [[keep]] says when it names `path`; else as its defaults say, nullopt when the format cannot be told from the name.
std::optional<KeptFile> kept_file(const policy::Config* config, const std::string& path);

/// Why a file is not acceptable as it is.
struct Judgement {
    std::optional<policy::Fault> fault;    // its text
    bool too_long = false;

    bool good() const { return !fault && !too_long; }
};
Judgement judge(const KeptFile& file, std::string_view content);

struct Happening {
    enum class Kind {
        kept,    // a new version
        invalid,    // and left as it is
        restored,    // it was invalid, and the newest good version took its place
        too_long,    // more than size_max: no version was made
        missing,    // there is no file any more (or yet)
        failed    // the file could not be read, kept or restored
    } kind;
    std::string path;
    std::optional<Version> version;    // kept, restored
    std::string reason;    // a sentence: "f.json:3:7: …"
    std::string hint;
    std::optional<policy::Fault> fault;
    std::string aside;    // restored: where the bad content is
};
std::string_view to_text(Happening::Kind kind);

class Keeper {
public:
    Keeper(std::vector<KeptFile> files, Clock& clock);
    Keeper(Keeper&&) noexcept;
    ~Keeper();

    /// The folders in which something may happen to the files now: their own, and those that links lead to. Ask again after
    /// each look.
    std::vector<std::string> folders() const;
    /// Looks at the files that `changes` may concern, and at those whose time has come. The first call looks at all.
    std::vector<Happening> look(const std::vector<os::FolderChange>& changes);
    /// Looks at all.
    std::vector<Happening> look_at_all();
    /// When look() should be called even without a change.
    std::optional<Instant> due() const;

private:
    struct Watched;
    void look_at(Watched& watched, bool finished, std::vector<Happening>& happenings);
    std::vector<std::unique_ptr<Watched>> files_;
    Clock& clock_;
};

/// The newest good version takes the place of what is at the file now, if that still has the hash `present` (nullopt: if no
/// file is there). Where the bad content was put: empty when there was none.
struct Replacement {
    Version version;
    std::string aside;
};
Result<Replacement> restore_newest(const KeptFile& file, const std::optional<std::string>& present, Timestamp now);
/// The same with one version of the caller's choice.
Result<Replacement> restore_version(const KeptFile& file, const Version& version,
                                    const std::optional<std::string>& present, Timestamp now);

}    // namespace holdfast::keep
