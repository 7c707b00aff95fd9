#pragma once
// PostgreSQL's own tools fed through their standard input.
//
//   errors   cancelled when we are asked to stop; the tool's own words otherwise

#include "holdfast/os/process.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

/// A started tool with a pipe for its input. A tool that ends early makes write() fail: finish() then tells why.
class PostgresFeed {
public:
    /// `name` is for messages: "pg_restore into trading".
    /// `listens`: what it prints is wanted, see listen().
    static Result<PostgresFeed> start(os::Command command, std::string name, bool listens = false);
    Status write(ByteView bytes);
    Status write(std::string_view text) { return write(as_bytes(text)); }
    /// Hands on what it prints until `sink` says that this was all. A tool that ends before makes it fail, as write() does.
    Status listen(const std::function<bool(ByteView)>& sink);
    /// Ends its input and waits for it.
    Status finish();
    /// Was it the tool that did not want more? Then finish() has the reason.
    bool refused() const { return refused_; }

private:
    PostgresFeed(os::Process process, std::string name) : process_(std::move(process)), name_(std::move(name)) {}
    os::Process process_;    // killed with this object: what it has not committed is rolled back
    std::string name_;
    bool refused_ = false;
};

/// All of a file of the snapshot. `may_stop_early`: a tool that has read enough of it is a success. `seen` gets all of it, too.
Status feed_file(PostgresFeed feed, const RestoreContext& context, const format::Node& file,
                 bool may_stop_early = false, const std::function<void(ByteView)>& seen = {});

Result<os::ExitStatus> wait_for_tool(os::Process& process);

}    // namespace holdfast::recovery
