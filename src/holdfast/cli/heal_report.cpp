#include "holdfast/cli/heal_report.hpp"

#include <fmt/core.h>

#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {

int show_heal_report(const Session& session, const vault::HealReport& report) {
    const int exit = report.well() ? 0 : facts(ErrorCode::corrupt).exit_status;
    if (session.global.json) {
        json::Value healed = json::Value::array();
        for (const auto& [what, from] : report.healed)
            healed.push(json::Value::object({{"what", what}, {"from", from}}));
        print_json(json::Value::object({{"well", report.well()},
                                        {"healed", std::move(healed)},
                                        {"not_healed", strings_json(report.not_healed)},
                                        {"lost_folders", strings_json(report.lost_trees)},
                                        {"lost_files", strings_json(report.lost_files)},
                                        {"snapshots_elsewhere", strings_json(report.snapshots_elsewhere)},
                                        {"set_aside", report.aside_folder},
                                        {"errors", strings_json(report.errors_left)},
                                        {"source_errors", strings_json(report.source_errors)}}));
        return exit;
    }
    const auto lines = [](Colour colour, std::string_view mark, const std::vector<std::string>& all) {
        for (const std::string& line : all)
            print_note(fmt::format("{} {}\n", painted(2, colour, mark), printable(line)));
    };
    lines(Colour::yellow, "not asked:", report.source_errors);
    if (!session.global.quiet)
        for (const auto& [what, from] : report.healed)
            print(fmt::format("{} {} from {}\n", painted(1, Colour::green, "healed:"), what, from));
    lines(Colour::red, "not healed:", report.not_healed);
    lines(Colour::red, "damaged:", report.errors_left);
    lines(Colour::red, "lost folder:", report.lost_trees);
    lines(Colour::red, "lost file:", report.lost_files);
    if (!session.global.quiet && !report.snapshots_elsewhere.empty()) {
        lines(Colour::yellow, "only elsewhere: snapshot", report.snapshots_elsewhere);
        print_note("  forgotten here, or lost; `holdfast heal --missing-snapshots` brings them back\n");
    }
    if (!report.aside_folder.empty()) print_note(fmt::format("replaced files are kept in {}\n", report.aside_folder));
    if (!session.global.quiet || !report.well())
        print(report.well() ? fmt::format("{} healed; the repository is {}\n", report.healed.size(),
                                          painted(1, Colour::green, "whole"))
                            : fmt::format("{} healed, {} not; {} files and {} folders of snapshots are {}\n",
                                          report.healed.size(), report.not_healed.size(), report.lost_files.size(),
                                          report.lost_trees.size(), painted(1, Colour::red, "lost")));
    return exit;
}

}    // namespace holdfast::cli
