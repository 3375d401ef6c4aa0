# Generated. Places and routes harness out of context for xck26-sfvc784-2LV-c in Vivado, at a clock of 5 ns:
#
#   vivado -mode batch -source out_of_context.tcl -tclargs RTL OUTPUT WORK
#
# RTL is a folder of *.sv, *.v and *.mem files with the module harness. OUTPUT gets the reports and result.txt, a line
# "key value" each; WORK what is in between. A design of which not every net could be routed is said to be so
# ("A2Q UNROUTED") and exits with 4. All other errors exit with 1.

proc read_text {path} {
  set stream [open $path]
  fconfigure $stream -encoding utf-8
  set text [read $stream]
  close $stream
  return $text
}

proc write_text {path text} {
  set stream [open $path w]
  fconfigure $stream -encoding utf-8 -translation lf
  puts -nonewline $stream $text
  close $stream
}

# Copies the accelerator. Memory files are named relative to their folder there; a synthesis run has a folder of its own
# and would take a memory that it does not find for zeros, so that the copies name the whole path.
proc copy_sources {from to} {
  file mkdir $to
  set names {}
  foreach memory [lsort [glob -nocomplain -directory $from *.mem]] {
    set copy [file normalize [file join $to [file tail $memory]]]
    file copy -force $memory $copy
    lappend names "\"[file tail $memory]\"" "\"$copy\""
    # a parameter called …Files has what the names of several begin with
    if {[regexp {^(.*Files)_[0-9_]+\.mem$} [file tail $memory] -> beginning]} {
      lappend names "\"$beginning\"" "\"[file normalize [file join $to $beginning]]\""
    }
  }
  foreach source [lsort [concat [glob -nocomplain -directory $from *.sv] [glob -nocomplain -directory $from *.v]]] {
    write_text [file join $to [file tail $source]] [string map $names [read_text $source]]
  }
  if {![file exists [file join $to harness.v]]} {
    error "$from holds no harness.v; give the folder of the accelerator's RTL"
  }
}

proc route {rtl output work} {
  file mkdir $output $work
  set sources [file join $work rtl]
  copy_sources $rtl $sources
  create_project -in_memory -part xck26-sfvc784-2LV-c
  # "could not open $readmem data file" is a warning otherwise, and the memory is all zeros
  set_msg_config -id {Synth 8-4445} -new_severity ERROR
  read_verilog -sv [lsort [concat [glob -directory $sources *.v] [glob -nocomplain -directory $sources *.sv]]]
  set constraints [file join $work clock.xdc]
  write_text $constraints "create_clock -name clk_i -period 5.000 \[get_ports clk_i\]\n"
  read_xdc $constraints
  synth_design -mode out_of_context -top harness -part xck26-sfvc784-2LV-c
  opt_design
  place_design
  route_design
  if {![report_route_status -boolean_check ROUTED_FULLY]} {
    puts "A2Q UNROUTED"
    return 4
  }
  report_utilization -hierarchical -file [file join $output utilization.rpt]
  report_utilization -hierarchical -format xml -file [file join $output utilization.xml]
  report_timing_summary -file [file join $output timing_summary.rpt]
  set paths [get_timing_paths -setup -max_paths 1]
  if {[llength $paths] == 0} {
    error "no path of harness is timed"
  }
  write_text [file join $output result.txt] [join [list \
    "wns_ns [get_property SLACK [lindex $paths 0]]" \
    "carry [llength [get_cells -hierarchical -filter {REF_NAME =~ CARRY* && NAME =~ u_unit/*}]]" \
  ] \n]\n
  return 0
}

if {[llength $argv] != 3} {
  puts "ERROR: vivado -mode batch -source out_of_context.tcl -tclargs RTL OUTPUT WORK"
  exit 1
}
lassign $argv rtl output work
if {[catch {route [file normalize $rtl] [file normalize $output] [file normalize $work]} status]} {
  puts "ERROR: \[A2Q\] $status"
  exit 1
}
exit $status
