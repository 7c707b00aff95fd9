#pragma once
// What a command says about its command line. Only arguments.cpp knows the parser behind it.
//
//   names     as for the parser: "-t,--target", "--json"
//   type      the word that stands for the value in the help: "FOLDER"
//   ownership what is bound must live as long as the command

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::cli {

/// Options that every command takes. Empty: ask the environment, then the configuration.
struct GlobalOptions {
    std::string repository, password_file, password_command, password_keyring, password_credential, config;
    std::vector<std::string> storage_options;    // "s3.region=eu-central-1"
    std::string ca_file, client_certificate;
    std::int64_t limit_upload_kib = 0, limit_download_kib = 0;    // a second; 0: no limit
    std::int64_t first_contact_max_seconds = -1;    // below 0: not said
    bool json = false;
    bool quiet = false;
    int verbose = 0;
};

/// Which snapshots "latest" or a listing is about.
struct FilterArguments {
    std::string host;
    std::vector<std::string> tags, paths;
};

class Options {
public:
    enum class Need { optional, required };

    virtual ~Options() = default;
    virtual void flag(const char* names, bool& to, const char* help) = 0;
    virtual void value(const char* names, std::string& to, const char* type, const char* help) = 0;
    /// May be given several times; each takes one value and leaves the next word alone.
    virtual void list(const char* names, std::vector<std::string>& to, const char* type, const char* help) = 0;
    /// A whole number of at least `least`.
    virtual void number(const char* names, std::int64_t& to, std::int64_t least, const char* type,
                        const char* help) = 0;
    /// One of `words`; anything else is a usage error that lists them.
    virtual void choice(const char* names, std::string& to, const std::vector<std::string>& words,
                        const char* help) = 0;
    /// By its place. SNAPSHOT completes to "latest".
    virtual void argument(const char* name, std::string& to, Need need, const char* help) = 0;
    /// All words that are left.
    virtual void arguments(const char* name, std::vector<std::string>& to, Need need, const char* help) = 0;

    /// --host, --tag, --path.
    void filter(FilterArguments& to);
    /// --no-lock, of commands that only read.
    void no_lock(bool& to);
};

}    // namespace holdfast::cli
