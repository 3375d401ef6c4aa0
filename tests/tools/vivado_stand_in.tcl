# Stands in for Vivado below its Tcl commands: it knows those that our scripts call and no others, refuses what Vivado
# would refuse of them as far as that shows, answers as Vivado does, and leaves files where Vivado leaves them.
# Runs the script SCRIPT. Every call goes to the file RECORD as a line of JSON. BEHAVIOUR is a dictionary:
#
#   boards   the board files that are installed, vendor:name:part0:version
#   ips      the IPs that there are, beside those that were packaged
#   period   that of the clock which the clock manager gives, in nanoseconds, "" for none
#   pl_clock what the processing system gives, in megahertz
#   wns whs  the worst slack to setup and to hold, of each implementation run in turn, the last for all that follow; ""
#            for no path that is timed
#   failing  the runs, or the step, that fail, "" for none
#   message  what the step that fails says
#   routed   whether route_design routes every net
#   without  an output that is left out: hwh, bit or utilization.xml
#   handoff  the file that becomes the .hwh
#   paths    the instance in which timed paths begin, and where, below the block design, they end

fconfigure stdout -buffering line
set record [open $env(RECORD) a]
set behaviour $env(BEHAVIOUR)
set packaged {}
set project {}
set runs {synth_1 impl_1}
set runs_done {}
set opened 0
set sources {}
set synthesized ""

proc quoted {text} {
  return "\"[string map [list \\ \\\\ \" \\\" \n \\n \t \\t] $text]\""
}

proc note {arguments} {
  global record
  set words {}
  foreach each $arguments { lappend words [quoted $each] }
  puts $record "\[[join $words ,]\]"
  flush $record
}

# Defines a command that is recorded; its body sees its words as `words`, without options that are flags.
proc vivado_command {name body} {
  proc $name args "note \[concat [list [list $name]] \$args\]\nset words \$args\n$body"
}

proc option {words name {default ""}} {
  set at [lsearch -exact $words $name]
  return [expr {$at < 0 ? $default : [lindex $words $at+1]}]
}

proc of {key} { return [dict get $::behaviour $key] }

proc write_file {path text} {
  file mkdir [file dirname $path]
  set stream [open $path w]
  puts -nonewline $stream $text
  close $stream
}

# A failing command of Vivado prints what is wrong itself.
proc vivado_error {text} {
  puts "ERROR: $text"
  return -code error "ERROR: \[Common 17-39\] failed due to earlier errors."
}

foreach name {
  set_property update_compile_order update_ip_catalog set_msg_config close_project create_bd_design apply_bd_automation
  connect_bd_net connect_bd_intf_net assign_bd_address validate_bd_design save_bd_design create_clock
  ipx::create_xgui_files ipx::update_checksums
} {
  namespace eval [namespace qualifiers ::$name] {}
  vivado_command $name {}
}
foreach name {get_bd_cells get_bd_pins get_bd_intf_pins get_bd_addr_spaces get_files get_pins} {
  vivado_command $name { return [lindex $words end] }
}
foreach name {current_project current_fileset ipx::current_core} {
  vivado_command $name "return {[namespace tail $name]}"
}

vivado_command version { return 2024.2 }

vivado_command get_bd_addr_segs {
  set pattern [lindex $words end]
  if {![string match {ps/*/\*} $pattern]} { return $pattern }
  set port [string range $pattern 0 end-2]
  set all [expr {[string match *SAXIGP2 $port] ? "HP0_DDR_LOW HP0_DDR_HIGH HP0_LPS_OCM HP0_QSPI" : "HP0_DDR_LOWOCM"}]
  return [lmap each $all {string cat /$port/$each}]
}
vivado_command exclude_bd_addr_seg {
  if {[file tail [lindex $words end]] eq "HP0_DDR_HIGH"} { return -code error "beyond the 32 bits of the address space" }
}

vivado_command create_run {
  set run [lindex $words 0]
  if {$run in $::runs || [option $words -parent_run] ni $::runs} { vivado_error "\[Vivado 12-1\] cannot create $run" }
  if {[option $words -flow] ne "Vivado Implementation 2024"} { vivado_error "\[Vivado 12-2\] no such flow" }
  lappend ::runs $run
}
vivado_command open_run {
  if {$::opened || [lindex $words 0] ni $::runs_done} { vivado_error "\[Common 17-69\] cannot open [lindex $words 0]" }
  set ::opened [string range [lindex $words 0] [string length impl_] end]
}
vivado_command close_design { set ::opened 0 }

vivado_command create_project {
  set words [lsearch -all -inline -not -exact $words -force]
  if {"-in_memory" in $words} return
  set ::project [lindex $words 1]
  file mkdir $::project
}

vivado_command add_files {
  foreach path [lindex $words end] {
    if {![file isfile $path]} { vivado_error "\[Vivado 12-172\] File or Directory '$path' does not exist" }
  }
}

vivado_command get_board_parts {
  return [lsearch -all -inline -glob [of boards] [lindex $words end]]
}

vivado_command get_ipdefs {
  return [lsearch -all -inline -glob [concat [of ips] $::packaged] [lindex $words end]]
}

vivado_command ipx::package_project {
  if {![file isdirectory [file dirname [option $words -root_dir]]]} { vivado_error "\[IP_Flow 19-3\] no such folder" }
  write_file [file join [option $words -root_dir] component.xml] "<component/>\n"
}
vivado_command ipx::get_bus_interfaces { return [lindex $words end-2] }
vivado_command ipx::associate_bus_interfaces {
  if {[lindex $words end] ne "current_core"} { vivado_error "\[IP_Flow 19-3\] no core" }
}
vivado_command ipx::save_core { lappend ::packaged a2q:pipeline:a2q_accelerator:1.0 }

vivado_command create_bd_cell {
  if {[option $words -vlnv] ni [concat [of ips] $::packaged]} {
    vivado_error "\[BD 5-390\] IP definition not found for VLNV: [option $words -vlnv]"
  }
}

vivado_command make_wrapper {
  set path [file join $::project a2q.gen sources_1 bd a2q hdl a2q_wrapper.v]
  write_file $path "module a2q_wrapper; endmodule\n"
  return $path
}

vivado_command launch_runs {
  set run [lindex $words 0]
  set folder [file join $::project a2q.runs $run]
  if {$run in [of failing]} {
    write_file [file join $folder runme.log] "INFO: begins\nERROR: \[Synth 8-439\] module 'rom' not found\n"
    return
  }
  write_file [file join $folder runme.log] "INFO: done\n"
  lappend ::runs_done $run
  if {$run eq "synth_1" && [of without] ne "hwh"} {
    set target [file join $::project a2q.gen sources_1 bd a2q hw_handoff a2q.hwh]
    file mkdir [file dirname $target]
    file copy -force [of handoff] $target
  }
}
vivado_command wait_on_run {
  if {[lindex $words end] ni $::runs_done && "-quiet" ni $words} {
    vivado_error "\[Vivado 12-13638\] Failed runs(s) : '[lindex $words end]'"
  }
}
vivado_command get_runs {
  if {[llength $words] > 0} { return [lindex $words 0] }
  return $::runs
}

vivado_command read_verilog {
  foreach path [lindex $words end] {
    if {![file isfile $path]} { vivado_error "\[Common 17-55\] '$path' does not exist" }
    lappend ::sources [file tail $path]
  }
}
vivado_command read_xdc { source [lindex $words end] }
vivado_command get_ports { return [lindex $words end] }
# A step that fails says `message`.
proc fail_if_told {name} {
  if {[of failing] eq $name} { vivado_error [of message] }
}
vivado_command synth_design {
  fail_if_told synth_design
  set ::synthesized [option $words -top]
  if {"$::synthesized.v" ni $::sources} { vivado_error "\[Synth 8-439\] module '$::synthesized' not found" }
}
foreach name {opt_design place_design route_design} { vivado_command $name "fail_if_told $name" }
vivado_command report_route_status { return [of routed] }
vivado_command get_cells { return {u_unit/sum_reg_i_1 u_unit/sum_reg_i_2} }

vivado_command get_timing_paths {
  if {[of wns] eq ""} { return {} }
  set kind [lindex [lsearch -all -inline -regexp $words {^-(setup|hold)$}] 0]
  return [lmap each {0 1 2 3 4 5 6 7 8 9} {if {$each >= [option $words -max_paths]} break; string cat $kind $each}]
}
# The slack of a path, such as -setup3, of the run that is open.
proc slack {path} {
  set worst [of [expr {[string match -setup* $path] ? "wns" : "whs"}]]
  if {[llength $worst] > 1} { set worst [lindex $worst [expr {min($::opened, [llength $worst]) - 1}]] }
  set place [string index $path end]
  return [expr {$place ? [format %.3f [expr {$worst + 0.01 * $place}]] : $worst}]
}

vivado_command get_clocks {
  if {[option $words -of_objects] ne "a2q_i/clk_wiz_0/clk_out1" || [of period] eq ""} { return {} }
  return clk_out1_a2q_clk_wiz_0_0
}

vivado_command get_property {
  lassign $words key object
  switch -glob -- $key {
    VLNV { return $object }
    PROGRESS { return [expr {$object in $::runs_done ? "100%" : "40%"}] }
    STATUS { return "synth_design ERROR" }
    DIRECTORY { return [file join $::project a2q.runs $object] }
    FLOW { return "Vivado Implementation 2024" }
    SLACK { return [slack $object] }
    LOGIC_LEVELS { return [string index $object end] }
    STARTPOINT_PIN { return a2q_i/a2q_accelerator_0/inst/u_design/[lindex [of paths] 0]/u_pe/sum_q_reg\[3\]/C }
    ENDPOINT_PIN { return a2q_i/[lindex [of paths] 1]/valid_q_reg/D }
    PERIOD { return [of period] }
    CONFIG.*ACT_*FREQMHZ - CONFIG.PCW_ACT_* { return [of pl_clock] }
    default { vivado_error "\[Common 17-54\] '$object' does not have a property named '$key'." }
  }
}

vivado_command report_utilization {
  set path [option $words -file]
  if {[file tail $path] eq [of without]} return
  set rows {
    {Instance Module {Total LUTs} {Logic LUTs} LUTRAMs SRLs FFs RAMB36 RAMB18 URAM {DSP Blocks}}
    {a2q_wrapper (top) 12345 11000 900 445 9876 7 3 0 4}
    {{  a2q_i} a2q 12345 11000 900 445 9876 7 3 0 4}
    {{    a2q_accelerator_0} a2q_a2q_accelerator_0_0 10000 9000 700 300 8000 6 1 0 0}
  }
  if {$::synthesized ne ""} {
    set rows [list [lindex $rows 0] [list $::synthesized (top) 2300 2200 90 10 5000 3 1 2 0] \
      {{  u_unit} ooc 2200 2100 90 10 1200 3 1 2 0} {{    u_layer} mvau 2190 2090 90 10 1190 3 1 2 0}]
  }
  set text ""
  foreach row $rows {
    if {[option $words -format] eq "xml"} {
      set kind [expr {[lindex $row 0] eq "Instance" ? "tableheader" : "tablecell"}]
      append text "<tablerow>\n"
      foreach cell $row { append text "<$kind contents=\"$cell\"/>\n" }
      append text "</tablerow>\n"
    } else {
      append text "| [join $row " | "] |\n"
    }
  }
  if {[option $words -format] eq "xml"} {
    set text "<?xml version=\"1.0\"?>\n<RptDoc><section title=\"1. Utilization by Hierarchy\"><table>\n$text"
    append text "</table></section></RptDoc>\n"
  }
  write_file $path $text
}

vivado_command report_timing_summary {
  write_file [option $words -file] "    WNS(ns)      TNS(ns)\n    -------      -------\n      [of wns]        0.000\n"
}

vivado_command write_bitstream {
  if {[of without] ne "bit"} { write_file [lindex $words end] "a bitstream" }
}

if {[catch {source $env(SCRIPT)} message]} {
  puts "ERROR: $message"
  exit 1
}
