// The program of cppsim.hpp: its layers by name, and its command line.
#ifndef A2Q_CPPSIM_MAIN_HPP
#define A2Q_CPPSIM_MAIN_HPP

#include "cppsim.hpp"

namespace a2q {

inline std::map<std::string, std::map<std::string, runner>> &known() {
  static std::map<std::string, std::map<std::string, runner>> all;
  return all;
}
void add_runner(const char *layer, const char *mode, runner run) { known()[layer][mode] = run; }

inline int main(int count, char **words) {
  const std::vector<std::string> given(words + 1, words + count);
  const auto dashes = std::find(given.begin(), given.end(), "--");
  if (given.size() < 4 || dashes == given.end() || !known().count(given[1]) || !known()[given[1]].count(given[0])) {
    std::cerr << "usage: strict|fast|bounded|needs <layer> <frames> <input file>... -- <output file>...\n";
    return 2;
  }
  in_files in;
  out_files out;
  for (auto name = given.begin() + 3; name != dashes; ++name) in.emplace_back(*name, std::ios::binary);
  for (auto name = dashes + 1; name != given.end(); ++name) out.emplace_back(*name, std::ios::binary);
  try {
    known()[given[1]][given[0]](std::stoul(given[2]), in, out);
  } catch (const deadlock &error) {
    std::cerr << error.what() << "\n";
    return 3;
  } catch (const std::exception &error) {
    std::cerr << (current_layer().empty() ? given[1] : current_layer()) << ": " << error.what() << "\n";
    return 1;
  }
  for (const auto &layer : all_watched()) {
    for (std::size_t i = 0; i < layer.second.size(); i++) {
      const extremes &seen = layer.second[i];
      std::cout << "extremes " << layer.first << " " << i << " " << seen.width << " " << seen.lowest << " "
                << seen.highest << " " << seen.lowest_used << " " << seen.highest_used << "\n";
    }
  }
  return 0;
}

}  // namespace a2q

#endif
