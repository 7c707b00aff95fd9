// `holdfast config watch|check|versions|show|diff|restore`.

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/keep/line_diff.hpp"
#include "holdfast/keep/watch.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/service.hpp"

namespace holdfast::cli {
namespace {

using keep::Happening;
using keep::KeptFile;

const std::vector<std::string> k_formats{"json", "toml", "env", "text"};

policy::DocumentFormat format_named(const std::string& word) {
    for (const auto one : {policy::DocumentFormat::json, policy::DocumentFormat::toml, policy::DocumentFormat::env})
        if (word == policy::to_text(one)) return one;
    return policy::DocumentFormat::text;
}

// How one FILE is treated: what holdfast.toml says of it, and what the command line says over that.
class FileArguments {
public:
    void declare(Options& options, bool with_file = true) {
        if (with_file) options.argument("FILE", path_, Options::Need::required, "the configuration file");
        options.value("--versions-folder", root_, "FOLDER",
                      "where versions lie (default: versions_folder in [[keep]], else .holdfast beside the file)");
        options.choice("--format", format_, k_formats, "json, toml, env or text (default: by the file's name)");
    }
    Result<KeptFile> file(const Session& session) const {
        const std::string path = os::absolute_path(path_);
        std::optional<LoadedConfig> loaded;
        if (find_config(session.global)) {
            HF_TRY(loaded, load_config(session.global));
        }
        auto file = keep::kept_file(loaded ? &loaded->config : nullptr, path);
        if (!file && format_.empty())
            return fail(ErrorCode::usage, fmt::format("the format of {} does not show in its name", printable(path)),
                        "use --format json, toml, env or text, or name the file in [[keep]]");
        if (!file) {
            file.emplace();
            file->path = path;
            file->versions = keep::versions_folder(path);
        }
        if (!format_.empty()) file->format = format_named(format_);
        if (!root_.empty()) file->versions = keep::versions_folder(path, os::absolute_path(root_));
        return *std::move(file);
    }

private:
    std::string path_, root_, format_;
};

Result<std::vector<KeptFile>> configured_files(const Session& session) {
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    auto files = keep::kept_files(loaded.config);
    if (files.empty())
        return fail(ErrorCode::config, fmt::format("{} has no [[keep]]", loaded.file),
                    "add [[keep]] and paths = [\"/etc/app/settings.json\"] below it");
    return files;
}

Result<std::optional<std::string>> read_if_there(const std::string& path) {
    auto text = os::read_text(path, keep::k_document_size_max);
    if (!text && text.error().code == ErrorCode::not_found) return std::optional<std::string>();
    if (!text) return fail(text.error());
    return std::optional(*std::move(text));
}

json::Value version_json(const keep::Version& version) {
    return json::Value::object({{"version", version.number},
                                {"time", to_rfc3339(version.at)},
                                {"size", version.size},
                                {"sha256", version.content.hex()},
                                {"file", version.file}});
}

json::Value fault_json(const policy::Fault& fault) {
    return json::Value::object({{"line", fault.line}, {"column", fault.column}, {"reason", fault.reason}});
}

// "latest" and "" are the newest one.
Result<keep::Version> find_version(const KeptFile& file, const std::string& word) {
    HF_TRY(const auto all, keep::Versions(file.versions, file.path).list());
    if (all.empty())
        return fail(ErrorCode::not_found, fmt::format("no version of {} is kept in {}", file.path, file.versions),
                    "`holdfast config watch` keeps one with each change");
    if (word.empty() || word == "latest") return all.back();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size())
        return fail(ErrorCode::usage, fmt::format("'{}' is no version: a number or \"latest\"", printable(word)),
                    fmt::format("`holdfast config versions {}` lists them", file.path));
    for (const auto& version : all)
        if (version.number == number) return version;
    return fail(ErrorCode::not_found, fmt::format("there is no version {} of {}", number, file.path),
                fmt::format("versions {} to {} are kept", all.front().number, all.back().number));
}

// ---- watch

json::Value happening_json(const Happening& one) {
    json::Value value = json::Value::object({{"event", keep::to_text(one.kind)}, {"path", one.path}});
    if (one.version) value.set("version", version_json(*one.version));
    if (one.fault) value.set("fault", fault_json(*one.fault));
    if (!one.reason.empty()) value.set("message", one.reason);
    if (!one.hint.empty()) value.set("hint", one.hint);
    if (!one.aside.empty()) value.set("aside", one.aside);
    return value;
}

std::string happening_text(const Happening& one) {
    const std::string hint = one.hint.empty() ? "" : fmt::format("          {}\n", one.hint);
    switch (one.kind) {
        case Happening::Kind::kept:
            return fmt::format("kept      {} as version {}\n", printable(one.path), one.version->number);
        case Happening::Kind::restored:
            return fmt::format("restored  {} to version {}\n          {}\n          the bad one is kept in {}\n",
                               printable(one.path), one.version->number, printable(one.reason), printable(one.aside));
        default:
            return fmt::format("{:<9} {}\n{}", keep::to_text(one.kind), printable(one.reason), hint);
    }
}

class ConfigWatchCommand final : public Command {
    std::string_view name() const override { return "config watch"; }
    std::string_view help() const override { return "keep each good change of configuration files, tell each bad one"; }
    std::string_view examples() const override {
        return R"(Watches the files of [[keep]] in holdfast.toml until it is stopped (SIGTERM, Ctrl-C). Each good change becomes a version. A bad
one is told with file, line, column and reason; with on_invalid = "restore" the newest good version takes its place, and
the bad one is kept beside the versions. What is half-written gets settle_milliseconds to become whole.

With --json each event is one line. Under systemd: Type=notify (docs/operations/configuration-versions.md has a unit).

Examples
  holdfast config watch
  holdfast config watch --once                     look once and end: 1 if a file is bad; for cron
  holdfast config watch --json | jq 'select(.event == "invalid")'
)";
    }
    void declare(Options& options) override {
        options.flag("--once", once_, "look at each file once, then end; exit status 1 when one is bad or missing");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(auto files, configured_files(session));
        const std::size_t count = files.size();
        keep::Keeper keeper(std::move(files), session.clock);
        bool bad = false;
        const auto say = [](const std::string& text) {
            print(text);
            std::fflush(stdout);    // whoever reads waits for it
        };
        const auto tell = [&](const Happening& one) {
            bad |= one.kind != Happening::Kind::kept && one.kind != Happening::Kind::restored;
            if (session.global.json)
                say(json::dump(happening_json(one)) + "\n");
            else if (!session.global.quiet || one.kind != Happening::Kind::kept)
                say(happening_text(one));
        };
        if (once_) {
            for (const Happening& one : keeper.look_at_all()) tell(one);
            while (keeper.due() && !os::stop_requested()) {
                session.clock.sleep(std::max<Duration>(*keeper.due() - session.clock.instant(), Duration(1)));
                for (const Happening& one : keeper.look({})) tell(one);
            }
            return bad ? 1 : 0;
        }
        keep::WatchOptions options;
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        for (const auto& one : loaded.config.keep)
            options.look_again = std::min<Duration>(options.look_again, std::chrono::seconds(one.look_again_seconds));
        options.tell = tell;
        options.stop = [] { return os::stop_requested(); };
        options.ready = [&](const std::vector<std::string>& polled) {
            os::tell_service_manager("READY=1");
            if (session.global.json) {
                json::Value folders = json::Value::array();
                for (const std::string& folder : polled) folders.push(folder);
                say(json::dump(json::Value::object(
                        {{"event", "watching"}, {"files", std::uint64_t(count)}, {"polled", std::move(folders)}})) +
                    "\n");
            } else if (!session.global.quiet) {
                say(fmt::format("watching  {} {}\n", count, count == 1 ? "file" : "files"));
                for (const std::string& folder : polled)
                    say(fmt::format("          {}: changes are not told there, so it is looked at every 2 s\n",
                                    printable(folder)));
            }
        };
        const auto done = keep::watch(keeper, session.clock, options);
        os::tell_service_manager("STOPPING=1");
        HF_DO(done);
        return 0;
    }
    bool once_ = false;
};

// ---- check

class ConfigCheckCommand final : public Command {
    std::string_view name() const override { return "config check"; }
    std::string_view help() const override { return "are these configuration files well-formed? where not?"; }
    std::string_view examples() const override {
        return R"(Without FILEs: those of [[keep]] in holdfast.toml. Nothing is changed. Exit status 1 when one is not good.

Examples
  holdfast config check
  holdfast config check /etc/mt5/config/*.json .env.production
  holdfast config check --format json settings.conf
)";
    }
    void declare(Options& options) override {
        options.arguments("FILE", paths_, Options::Need::optional, "JSON, TOML and .env files");
        options.choice("--format", format_, k_formats, "of all FILEs (default: by each file's name)");
    }
    Result<int> run(const Session& session) override {
        std::vector<KeptFile> files;
        if (paths_.empty()) {
            HF_TRY(files, configured_files(session));
        }
        for (const std::string& path : paths_) {
            KeptFile file;
            file.path = path;
            file.size_max = keep::k_document_size_max;
            const auto by_name = policy::document_format(path);
            if (!by_name && format_.empty())
                return fail(ErrorCode::usage,
                            fmt::format("the format of {} does not show in its name", printable(path)),
                            "use --format json, toml, env or text");
            file.format = format_.empty() ? *by_name : format_named(format_);
            files.push_back(std::move(file));
        }
        json::Value list = json::Value::array();
        std::size_t bad = 0;
        for (const KeptFile& file : files) {
            const auto text = os::read_text(file.path, keep::k_document_size_max);
            std::string why;
            json::Value one = json::Value::object({{"path", file.path}, {"format", policy::to_text(file.format)}});
            if (!text) {
                why = text.error().message;
            } else {
                const auto judgement = keep::judge(file, *text);
                if (judgement.fault) {
                    why = policy::fault_text(file.path, *judgement.fault);
                    one.set("fault", fault_json(*judgement.fault));
                } else if (judgement.too_long) {
                    why = fmt::format("{} has {} bytes, and size_max_kib allows {}", file.path, text->size(),
                                      file.size_max);
                }
            }
            bad += !why.empty();
            one.set("good", why.empty());
            if (!why.empty()) one.set("message", why);
            list.push(std::move(one));
            if (session.global.json) continue;
            if (!why.empty())
                print(printable(why) + "\n");
            else if (!session.global.quiet)
                print(fmt::format("{}: good\n", printable(file.path)));
        }
        if (session.global.json) print_json(json::Value::object({{"files", std::move(list)}}));
        return bad == 0 ? 0 : 1;
    }
    std::vector<std::string> paths_;
    std::string format_;
};

// ---- versions, show, diff, restore

class ConfigVersionsCommand final : public Command {
    std::string_view name() const override { return "config versions"; }
    std::string_view help() const override { return "list the kept versions of a configuration file"; }
    std::string_view examples() const override {
        return R"(Each version is a plain file (its path is in --json): `cp` brings it back, too.

Examples
  holdfast config versions /etc/mt5/config/ea.json
)";
    }
    void declare(Options& options) override { arguments_.declare(options); }
    Result<int> run(const Session& session) override {
        HF_TRY(const KeptFile file, arguments_.file(session));
        const keep::Versions versions(file.versions, file.path);
        HF_TRY(const auto all, versions.list());
        HF_TRY(const auto present, read_if_there(file.path));
        const auto now = present ? std::optional(format::sha256(as_bytes(*present))) : std::nullopt;
        json::Value list = json::Value::array();
        Table table({"Version", "Kept", "Size", "State"}, {true, false, true, false});
        for (const auto& version : all) {
            const auto content = versions.read(version);
            const char* state = !content                                    ? "damaged"
                                : policy::find_fault(*content, file.format) ? "not well-formed"
                                : now && version.content == *now && content ? "as the file is"
                                                                            : "good";
            json::Value one = version_json(version);
            one.set("good", content && !policy::find_fault(*content, file.format));
            one.set("present", content && now == version.content);
            list.push(std::move(one));
            table.row({std::to_string(version.number), local_time(version.at), human_size(version.size), state});
        }
        if (session.global.json)
            print_json(
                json::Value::object({{"path", file.path}, {"folder", file.versions}, {"versions", std::move(list)}}));
        else if (all.empty())
            print(fmt::format("no version of {} is kept in {}\n", printable(file.path), printable(file.versions)));
        else
            print(table.text(1));
        return 0;
    }
    FileArguments arguments_;
};

class ConfigShowCommand final : public Command {
    std::string_view name() const override { return "config show"; }
    std::string_view help() const override { return "print a kept version of a configuration file"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast config show /etc/mt5/config/ea.json
  holdfast config show /etc/mt5/config/ea.json --version 12 > ea.json
)";
    }
    void declare(Options& options) override {
        arguments_.declare(options);
        options.value("--version", version_, "NUMBER", "which one (default: the newest)");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const KeptFile file, arguments_.file(session));
        HF_TRY(const auto version, find_version(file, version_));
        HF_TRY(const std::string content, keep::Versions(file.versions, file.path).read(version));
        if (session.global.json) {
            json::Value value = version_json(version);
            value.set("content", content);
            print_json(value);
        } else {
            print(content);
        }
        return 0;
    }
    FileArguments arguments_;
    std::string version_;
};

class ConfigDiffCommand final : public Command {
    std::string_view name() const override { return "config diff"; }
    std::string_view help() const override { return "what changed between versions of a configuration file"; }
    std::string_view examples() const override {
        return R"(From the newest version to the file as it is now, or between two versions. Exit status 1 when they differ.

Examples
  holdfast config diff /etc/mt5/config/ea.json
  holdfast config diff /etc/mt5/config/ea.json --from 11 --to 12
)";
    }
    void declare(Options& options) override {
        arguments_.declare(options);
        options.value("--from", from_, "NUMBER", "the older one (default: the newest version)");
        options.value("--to", to_, "NUMBER", "the newer one (default: the file as it is)");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const KeptFile file, arguments_.file(session));
        const keep::Versions versions(file.versions, file.path);
        HF_TRY(const auto from, find_version(file, from_));
        HF_TRY(const std::string before, versions.read(from));
        std::string after, after_name = file.path;
        if (to_.empty()) {
            HF_TRY(auto present, read_if_there(file.path));
            after = present.value_or("");
        } else {
            HF_TRY(const auto to, find_version(file, to_));
            HF_TRY(after, versions.read(to));
            after_name = fmt::format("{} (version {})", file.path, to.number);
        }
        const std::string diff =
            keep::line_diff(before, after, fmt::format("{} (version {})", file.path, from.number), after_name);
        if (session.global.json)
            print_json(json::Value::object({{"path", file.path}, {"equal", diff.empty()}, {"diff", diff}}));
        else
            print(diff);
        return diff.empty() ? 0 : 1;
    }
    FileArguments arguments_;
    std::string from_, to_;
};

class ConfigRestoreCommand final : public Command {
    std::string_view name() const override { return "config restore"; }
    std::string_view help() const override { return "bring a kept version of a configuration file back"; }
    std::string_view examples() const override {
        return R"(The newest good version, or the one that is named, takes the place of what is there: at once, by one rename, with the
file's mode and owner. What is there now is kept: as a version if it is good, else in rejected/ beside the versions.

Examples
  holdfast config restore /etc/mt5/config/ea.json --dry-run
  holdfast config restore /etc/mt5/config/ea.json
  holdfast config restore /etc/mt5/config/ea.json --version 11
)";
    }
    void declare(Options& options) override {
        arguments_.declare(options);
        options.value("--version", version_, "NUMBER", "which one (default: the newest that is good)");
        options.flag("-n,--dry-run", dry_run_, "only say what would be done, as a diff");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const KeptFile file, arguments_.file(session));
        const keep::Versions versions(file.versions, file.path);
        HF_TRY(const keep::Version version, [&]() -> Result<keep::Version> {
            if (!version_.empty()) return find_version(file, version_);
            HF_TRY(const auto newest, versions.newest_valid(file.format));
            if (!newest)
                return fail(ErrorCode::not_found, fmt::format("no good version of {} is kept", file.path),
                            fmt::format("looked in {}; a backup may have one: `holdfast find {}`", file.versions,
                                        os::file_name(file.path)));
            return newest->version;
        }());
        HF_TRY(const std::string content, versions.read(version));
        HF_TRY(const auto present, read_if_there(file.path));
        if (const auto fault = policy::find_fault(content, file.format))
            return fail(ErrorCode::corrupt,
                        fmt::format("version {} is not well-formed: {}", version.number,
                                    policy::fault_text("", *fault).substr(1)),
                        "leave --version out: the newest good one is taken");
        json::Value report = json::Value::object({{"path", file.path}, {"version", version_json(version)}});
        const bool same = present == content;
        if (dry_run_ || same) {
            const std::string diff = keep::line_diff(present.value_or(""), content, file.path,
                                                     fmt::format("{} (version {})", file.path, version.number));
            report.set("changed", false).set("diff", diff);
            if (session.global.json)
                print_json(report);
            else if (same)
                print(fmt::format("{} is version {} already\n", printable(file.path), version.number));
            else
                print(fmt::format("{}version {} of {} would take its place\n", diff, version.number,
                                  local_time(version.at)));
            return 0;
        }
        HF_TRY(const auto done, keep::restore_version(file, version, present, session.clock.now()));
        report.set("changed", true);
        if (!done.aside.empty()) report.set("aside", done.aside);
        if (session.global.json) {
            print_json(report);
        } else if (!session.global.quiet) {
            print(fmt::format("{} is version {} of {} again\n", printable(file.path), version.number,
                              local_time(version.at)));
            if (!done.aside.empty()) print(fmt::format("what was there is kept in {}\n", printable(done.aside)));
        }
        return 0;
    }
    FileArguments arguments_;
    std::string version_;
    bool dry_run_ = false;
};

}    // namespace

std::vector<std::unique_ptr<Command>> config_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(std::make_unique<ConfigWatchCommand>());
    all.push_back(std::make_unique<ConfigCheckCommand>());
    all.push_back(std::make_unique<ConfigVersionsCommand>());
    all.push_back(std::make_unique<ConfigShowCommand>());
    all.push_back(std::make_unique<ConfigDiffCommand>());
    all.push_back(std::make_unique<ConfigRestoreCommand>());
    return all;
}

}    // namespace holdfast::cli
