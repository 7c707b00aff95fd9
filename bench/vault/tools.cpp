#include "tools.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::bench {
namespace {

constexpr std::string_view k_password = "correct horse battery staple";

// The line of `program --version` that names it.
std::string version_of(std::vector<std::string> command) {
    const auto done = os::run({.arguments = std::move(command),
                               .environment = {},
                               .without_environment = {},
                               .folder = {},
                               .user = {},
                               .output_file = {}});
    if (!done || !done->status.ok()) return {};
    return done->output.substr(0, done->output.find('\n'));
}

Tool tool(const Places& places, std::string name, std::string version) {
    Tool t;
    t.repository = fmt::format("{}/repository-{}", places.work, name);
    t.cache = fmt::format("{}/cache-{}", places.work, name);
    t.restored = fmt::format("{}/restored-{}", places.work, name);
    t.name = std::move(name);
    t.version = std::move(version);
    return t;
}

Tool floor_tool(const Places& places, const std::string& password_file) {
    Tool t = tool(places, "floor", "tar | zstd -3 -T2 | openssl aes-256-ctr");
    const std::string archive = t.repository + "/%PHASE%.tar.zst.enc";
    const std::string cipher = "openssl enc -aes-256-ctr -pbkdf2 -pass file:" + password_file;
    const auto shell = [](std::string script) {
        return std::vector<std::string>{"bash", "-c", "set -o pipefail; " + std::move(script)};
    };
    t.init = {"mkdir", "-p", t.repository};
    t.backup =
        shell(fmt::format("tar -C / -c '{}' | zstd -q -3 -T2 | {} > '{}'", places.data.substr(1), cipher, archive));
    t.restore = shell(fmt::format("{} -d < '{}' | zstd -q -d | tar -x -C '{}'", cipher, archive, t.restored));
    t.check = shell(fmt::format("{} -d < '{}' | zstd -q -t", cipher, archive));
    return t;
}

// The file that opens the repository, and how holdfast makes that.
std::string choose_key(Tool& t, const Places& places, const std::string& password_file) {
    t.init = {places.holdfast, "init", "--repo", t.repository, "--quiet"};
    if (places.key == KeyKind::machine) {
        t.machine_key = fmt::format("{}/key-{}", places.work, t.name);
        t.init.insert(t.init.end(), {"--generate-key", t.machine_key});
        return t.machine_key;
    }
    t.init.insert(t.init.end(), {"--password-file", password_file});
    return password_file;
}

Tool holdfast_tool(const Places& places, const std::string& password_file) {
    Tool t = tool(places, "holdfast", version_of({places.holdfast, "--version"}));
    const std::string opened_with = choose_key(t, places, password_file);
    t.environment = {{"XDG_CACHE_HOME", t.cache}, {"HOME", t.cache}};
    const auto command = [&](std::vector<std::string> words) {
        words.insert(words.begin(), places.holdfast);
        words.insert(words.end(), {"--repo", t.repository, "--password-file", opened_with, "--quiet"});
        return words;
    };
    t.backup = command({"backup", places.data});
    t.restore = command({"restore", "latest", "--target", t.restored});
    t.restore_one = command({"restore", "latest", "--target", t.restored, "--include", places.one_file});
    t.check = command({"check", "--read-data"});
    t.key = command({"snapshots"});
    t.forget = command({"forget"});
    t.prune = command({"prune"});
    return t;
}

Tool restic_tool(const Places& places, const std::string& password_file, std::string version) {
    Tool t = tool(places, "restic", std::move(version));
    const auto command = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {"restic", "-r", t.repository, "--quiet"});
        return words;
    };
    // restic calibrates the key to how busy the machine is at that moment: p from 1 to 10 was seen here. So that both pay
    // the same, its repository is made by holdfast where that takes part.
    std::string opened_with = password_file;
    if (places.holdfast.empty())
        t.init = command({"init", "--repository-version", "2"});
    else
        opened_with = choose_key(t, places, password_file);
    t.environment = {{"RESTIC_CACHE_DIR", t.cache}, {"RESTIC_PASSWORD_FILE", opened_with}};
    t.backup = command({"--compression", "auto", "backup", places.data});
    t.restore = command({"restore", "latest", "--target", t.restored});
    t.restore_one = command({"restore", "latest", "--target", t.restored, "--include", places.one_file});
    t.check = command({"check", "--read-data"});
    t.key = command({"snapshots"});
    t.forget = command({"forget"});
    t.prune = command({"prune"});
    return t;
}

Tool borg_tool(const Places& places, std::string version) {
    Tool t = tool(places, "borg", std::move(version));
    t.environment = {{"BORG_BASE_DIR", t.cache}, {"BORG_PASSPHRASE", std::string(k_password)}};
    t.init = {"borg", "init", "-e", "repokey", t.repository};
    t.backup = {"borg", "create", "-C", "zstd,3", t.repository + "::%PHASE%", places.data};
    t.restore = {"borg", "extract", t.repository + "::%PHASE%"};
    t.restore_one = {"borg", "extract", t.repository + "::%PHASE%", places.one_file.substr(1)};
    t.check = {"borg", "check", "--verify-data", t.repository};
    t.key = {"borg", "list", t.repository};
    return t;
}

}    // namespace

Result<std::vector<Tool>> find_tools(const Places& places) {
    const std::string password_file = places.work + "/password";
    HF_DO(os::write_file(password_file, as_bytes(std::string(k_password) + "\n")));
    std::vector<Tool> tools{floor_tool(places, password_file)};
    if (!places.holdfast.empty()) {
        tools.push_back(holdfast_tool(places, password_file));
        if (tools.back().version.empty())
            return fail(ErrorCode::not_found, places.holdfast + " does not answer --version",
                        "build it with `./run build`, or name it with --holdfast");
    }
    const std::string restic = version_of({"restic", "version"}), borg = version_of({"borg", "--version"});
    if (restic.empty())
        fmt::print(stderr, "restic is not installed: left out\n");
    else
        tools.push_back(restic_tool(places, password_file, restic.substr(0, restic.find(" compiled"))));
    if (borg.empty())
        fmt::print(stderr, "borg is not installed: left out\n");
    else
        tools.push_back(borg_tool(places, borg));
    return tools;
}

}    // namespace holdfast::bench
