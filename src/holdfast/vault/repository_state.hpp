#pragma once
// What an open repository holds; shared by the files of vault/.

#include <memory>
#include <mutex>
#include <set>

#include "holdfast/vault/blob_index.hpp"
#include "holdfast/vault/blob_opener.hpp"
#include "holdfast/vault/lock.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct Repository::State {
    State(std::unique_ptr<storage::Backend> b, Clock& c, format::Key m)
        : backend(std::move(b)), clock(c), master(std::move(m)) {}

    std::unique_ptr<storage::Backend> backend;
    Clock& clock;
    format::Key master;
    Id key_file;    // that our password opened
    format::Config config;
    BlobIndex index;
    bool index_loaded = false;
    std::mutex index_files_mutex;
    std::set<Id> index_files;    // that `index` was made from, with those that we wrote ourselves
    mutable OpenerPool openers{master};
    LockTiming lock_timing;

    std::mutex compressor_mutex;    // documents are few
    format::Compressor compressor{3};
};

/// As Repository::find_node(), but a file may have numbers instead of content, as in Repository::read_numbered_tree().
Result<format::Node> find_numbered_node(const Repository& repository, const Id& tree, std::string_view path);

}    // namespace holdfast::vault
