#include "scenario.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::scenario {
namespace {

std::vector<std::string> foreign_variables() {
    std::vector<std::string> names;
    for (char** entry = environ; *entry; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (name.starts_with("HOLDFAST_") || name.starts_with("RESTIC_") || name == "NO_COLOR" || name == "TERM")
            names.emplace_back(name);
    }
    return names;
}

Answer finished(os::Command command) {
    auto result = os::run(std::move(command), {}, std::chrono::minutes(5));
    if (!result) {
        ADD_FAILURE() << result.error().message;
        return {};
    }
    return {result->status.signal ? -result->status.signal : result->status.code, result->output, result->errors};
}

}    // namespace

json::Value Answer::json() const {
    auto value = json::parse(output, "output");
    if (!value) ADD_FAILURE() << value.error().message << "\noutput: " << output << "\nerrors: " << errors;
    return value ? *value : json::Value();
}

Scenario::Scenario() : scratch_(os::TempFolder::create("holdfast-scenario-").value()) {
    write(password_file(), password_ + "\n", 0600);
    EXPECT_TRUE(os::make_folders(at("home")).has_value());
}

os::Command Scenario::command(std::vector<std::string> arguments, const Environment& environment) const {
    os::Command command;
    command.arguments = {HF_BIN_DIR "/holdfast"};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.without_environment = foreign_variables();
    command.environment = {{"HOME", at("home")}, {"XDG_CACHE_HOME", at("home/cache")}};
    for (const auto& [name, value] : environment) {    // the later one of two counts
        std::erase_if(command.environment, [&](const auto& earlier) { return earlier.first == name; });
        command.environment.emplace_back(name, value);
    }
    command.folder = at("home");
    return command;
}

Answer Scenario::holdfast_bare(std::vector<std::string> arguments, const Environment& environment,
                               const std::string& user) const {
    os::Command bare = command(std::move(arguments), environment);
    bare.user = user;
    return finished(std::move(bare));
}

Answer Scenario::holdfast(std::vector<std::string> arguments, const Environment& environment) const {
    Environment all{{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}};
    all.insert(all.end(), environment.begin(), environment.end());
    return finished(command(std::move(arguments), all));
}

Answer Scenario::run(std::vector<std::string> arguments, const Environment& environment) const {
    Environment all{{"RESTIC_REPOSITORY", repository()}, {"RESTIC_PASSWORD_FILE", password_file()}};
    all.insert(all.end(), environment.begin(), environment.end());
    os::Command other = command({}, all);
    other.arguments = std::move(arguments);
    return finished(std::move(other));
}

Answer Scenario::on_terminal(std::vector<std::string> arguments, std::string_view input,
                             const Environment& environment) const {
    const os::Command what = command(std::move(arguments), environment);
    std::vector<std::string> words = what.arguments, variables;
    for (const auto& [name, value] : what.environment) variables.push_back(name + "=" + value);
    variables.push_back("TERM=xterm");
    variables.push_back("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    std::vector<char*> argv, envp;
    for (std::string& word : words) argv.push_back(word.data());
    for (std::string& variable : variables) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    winsize size{24, 100, 0, 0};
    int master = -1;
    const pid_t child = ::forkpty(&master, nullptr, nullptr, &size);
    if (child == 0) {
        if (::chdir(what.folder.c_str()) == 0) ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    if (child < 0) {
        ADD_FAILURE() << "forkpty failed";
        return {};
    }
    const os::Fd terminal(master);
    Answer answer;
    char buffer[4096];
    // A question ends without a new line; each is answered with the next line of the input.
    while (true) {
        const ssize_t got = ::read(master, buffer, sizeof buffer);
        if (got <= 0) break;
        answer.output.append(buffer, static_cast<std::size_t>(got));
        if (answer.output.ends_with(": ") && !input.empty()) {
            const std::string_view line = input.substr(0, input.find('\n') + 1);
            input.remove_prefix(line.size());
            EXPECT_EQ(::write(master, line.data(), line.size()), static_cast<ssize_t>(line.size()));
        }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    answer.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return answer;
}

Scenario::Serving Scenario::serve(const std::string& name, const std::vector<std::string>& options) const {
    std::vector<std::string> arguments = {"serve", "--path", at(name), "--listen", "127.0.0.1:0", "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    auto started = os::Process::start(command(arguments));
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    std::string line;
    Bytes piece(4096);
    while (line.find("\n}") == std::string::npos && !line.ends_with("}\n")) {
        const auto n = os::read_some(started->output(), piece);
        if (!n || *n == 0) break;
        line += as_text(ByteView(piece).first(*n));
    }
    const auto said = json::parse(line, "what serve said");
    EXPECT_TRUE(said) << line << started->errors();
    return {*std::move(started), said ? (*said)["url"].text() : ""};
}

void Scenario::make_repository() const {
    const Answer made = holdfast({"init"});
    ASSERT_EQ(made.exit, 0) << made.errors;
}

void Scenario::make_cheap_repository() const {
    os::SystemClock clock;
    vault::InitOptions options;
    options.cost = {1024, 8, 1};
    const auto made = vault::Repository::init(storage::local_backend(repository()), Secret(password()), clock, options);
    ASSERT_TRUE(made.has_value()) << made.error().message;
}

void Scenario::write(const std::string& path, std::string_view content, mode_t mode) const {
    ASSERT_TRUE(os::make_folders(os::parent_folder(path), 0755).has_value());
    ASSERT_TRUE(os::write_file(path, as_bytes(content), mode).has_value());
}

void Scenario::make_files(const std::string& folder, unsigned megabytes, unsigned seed) const {
    std::mt19937_64 random(seed);
    const auto noise = [&](std::size_t bytes) {
        std::string text(bytes, '\0');
        for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
            const std::uint64_t word = random();
            std::memcpy(text.data() + i, &word, 8);
        }
        return text;
    };
    for (unsigned i = 0; i < megabytes; ++i) write(fmt::format("{}/data/part-{:03}", folder, i), noise(1 << 20));
    write(folder + "/data/empty", "");
    write(folder + "/etc/desk.conf", "limit = 5\n", 0640);
    write(folder + "/etc/secret.key", noise(4096), 0600);
    write(folder + "/odd name \xff\n", "any byte");
    ASSERT_EQ(::symlink("etc/desk.conf", (folder + "/link").c_str()), 0);
    ASSERT_EQ(::link((folder + "/etc/desk.conf").c_str(), (folder + "/hard").c_str()), 0);
    ASSERT_EQ(::chmod((folder + "/etc").c_str(), 01750), 0);
}

void Scenario::expect_equal_trees(const std::string& left, const std::string& right) {
    namespace fs = std::filesystem;
    std::vector<std::string> names, others;
    for (const auto& entry : fs::recursive_directory_iterator(left))
        names.push_back(entry.path().string().substr(left.size()));
    for (const auto& entry : fs::recursive_directory_iterator(right))
        others.push_back(entry.path().string().substr(right.size()));
    std::sort(names.begin(), names.end());
    std::sort(others.begin(), others.end());
    EXPECT_EQ(names, others);
    if (names != others) return;
    for (const std::string& name : names) {
        const struct stat a = os::status_of(left + name, false).value(), b = os::status_of(right + name, false).value();
        EXPECT_EQ(a.st_mode, b.st_mode) << name;
        EXPECT_EQ(a.st_uid, b.st_uid) << name;
        EXPECT_EQ(a.st_gid, b.st_gid) << name;
        EXPECT_EQ(a.st_mtim.tv_sec, b.st_mtim.tv_sec) << name;
        EXPECT_EQ(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec) << name;
        if (S_ISREG(a.st_mode)) {
            EXPECT_EQ(a.st_nlink, b.st_nlink) << name;
            EXPECT_TRUE(os::read_file(left + name).value() == os::read_file(right + name).value()) << name;
        }
        if (S_ISLNK(a.st_mode)) {
            EXPECT_EQ(fs::read_symlink(left + name), fs::read_symlink(right + name)) << name;
        }
    }
}

std::string Scenario::largest_in(const std::string& folder) const {
    namespace fs = std::filesystem;
    std::string largest;
    std::uintmax_t size = 0;
    for (const auto& entry : fs::recursive_directory_iterator(repository() + "/" + folder))
        if (entry.is_regular_file() && entry.file_size() >= size) {
            size = entry.file_size();
            largest = entry.path();
        }
    return largest;
}

}    // namespace holdfast::scenario
