// Drives an accelerator_shell at random, as a processor, a DMA and a network do: what is offered stays offered until it is
// taken, and frames mostly end where they should. It resets the shell in the first cycle, whatever state that begins in, and
// now and then later. `done_o` is high after Cycles cycles.
//
// Bytes of a word of the memory's and of the network's streams, words of a frame on each, and the shell's other parameters
// that change its ports; ResetCycles: how long it is held in reset; ResetEvery: after how many cycles on average.
`default_nettype none

module shell_traffic #(
  parameter int unsigned InputBytes = 4,
  parameter int unsigned OutputBytes = 4,
  parameter int unsigned InputWords = 16,
  parameter int unsigned NetworkInputBytes = 4,
  parameter int unsigned NetworkOutputBytes = 4,
  parameter int unsigned NetworkInputWords = 16,
  parameter int unsigned NetworkOutputWords = 1,
  parameter int unsigned OverflowFlags = 1,
  parameter int unsigned ResetCycles = 3,
  parameter int unsigned ResetEvery = 10000,
  parameter int unsigned Cycles = 1000
) (
  input  wire                            clk_i,
  input  wire                            rst_ni,
  output wire                            done_o,

  output wire                            shell_rst_no,

  output logic [11:0]                    awaddr_o,
  output logic                           awvalid_o,
  input  wire                            awready_i,
  output logic [31:0]                    wdata_o,
  output logic [3:0]                     wstrb_o,
  output logic                           wvalid_o,
  input  wire                            wready_i,
  output logic                           bready_o,
  output logic [11:0]                    araddr_o,
  output logic                           arvalid_o,
  input  wire                            arready_i,
  output logic                           rready_o,

  output logic                           in_valid_o,
  input  wire                            in_ready_i,
  output logic [InputBytes*8-1:0]        in_data_o,
  output logic [InputBytes-1:0]          in_keep_o,
  output logic                           in_last_o,
  output logic                           out_ready_o,

  input  wire                            core_rst_ni,
  input  wire                            network_in_valid_i,
  output logic                           network_in_ready_o,
  output logic                           network_out_valid_o,
  input  wire                            network_out_ready_i,
  output logic [NetworkOutputBytes*8-1:0] network_out_data_o,
  output logic [OverflowFlags-1:0]       overflow_o,
  output logic                           weights_ready_o,
  output logic                           weights_loaded_o
);

  localparam bit [11:0] AddressControl = 12'h018;
  localparam bit [11:0] AddressBatch = 12'h020;
  localparam bit [11:0] AddressLock = 12'h02C;

  function automatic logic one_in(input int unsigned count);
    return $urandom_range(count - 1) == 0;
  endfunction

  // a register mostly, BATCH so seldom that transfers come to their end
  function automatic logic [11:0] written_address();
    if (one_in(512)) return AddressBatch;
    if (one_in(8)) return AddressControl;
    if (one_in(8)) return AddressLock;
    if (one_in(4)) return 12'($urandom);
    return AddressLock + 12'd4 + 12'($urandom_range(9) * 4);
  endfunction

  function automatic logic [11:0] read_address();
    return one_in(8) ? 12'($urandom) : 12'($urandom_range(21) * 4);
  endfunction

  // what CONTROL resets with is rare, and so is what BATCH never counts down
  function automatic logic [31:0] written_value();
    if (one_in(256)) return $urandom;
    return {29'd0, one_in(2), one_in(4), one_in(256)};
  endfunction

  int unsigned cycle_q, reset_q, in_word_q, taken_q, owed_q, frames_q;
  initial reset_q = ResetCycles;
  assign shell_rst_no = reset_q == 0;
  assign done_o = cycle_q >= Cycles;

  wire [31:0] next_word = !in_valid_o ? in_word_q : (in_word_q == InputWords - 1) ? 0 : in_word_q + 1;
  wire network_take = network_in_valid_i && network_in_ready_o;
  wire network_end = network_take && taken_q == NetworkInputWords - 1;
  wire network_give = network_out_valid_o && network_out_ready_i;
  int unsigned owed;
  always_comb begin
    owed = owed_q;
    if (network_end) owed += NetworkOutputWords;
    if (network_give) owed -= 1;
  end

  always_ff @(posedge clk_i) begin
    if (reset_q != 0) reset_q <= reset_q - 1;
    else if (rst_ni && one_in(ResetEvery)) reset_q <= ResetCycles;
    if (!rst_ni) begin
      cycle_q <= 0;
      frames_q <= 0;
    end else begin
      cycle_q <= cycle_q + 1;
    end

    // a processor
    bready_o <= one_in(2);
    rready_o <= one_in(2);
    if (!rst_ni || !shell_rst_no) begin
      awvalid_o <= 1'b0;
      wvalid_o <= 1'b0;
      arvalid_o <= 1'b0;
    end else begin
      if (!awvalid_o || awready_i) begin
        awvalid_o <= one_in(8);
        awaddr_o <= written_address();
      end
      if (!wvalid_o || wready_i) begin
        wvalid_o <= one_in(8);
        wdata_o <= written_value();
        wstrb_o <= one_in(16) ? 4'($urandom) : 4'hF;
      end
      if (!arvalid_o || arready_i) begin
        arvalid_o <= one_in(4);
        araddr_o <= read_address();
      end
    end

    // a DMA
    out_ready_o <= !one_in(4);
    if (!rst_ni || !core_rst_ni) begin
      in_valid_o <= 1'b0;
      in_word_q <= 0;
    end else if (!in_valid_o || in_ready_i) begin
      in_valid_o <= !one_in(4);
      for (int unsigned i = 0; i < InputBytes; i++) in_data_o[8*i+:8] <= 8'($urandom);
      in_last_o <= (next_word == InputWords - 1) != one_in(1024);
      in_keep_o <= '1;
      if (one_in(1024)) in_keep_o[0] <= 1'b0;
      in_word_q <= next_word;
    end

    // a network
    network_in_ready_o <= !one_in(4);
    weights_ready_o <= one_in(2);
    for (int unsigned i = 0; i < OverflowFlags; i++) overflow_o[i] <= one_in(4096);
    if (!rst_ni || !core_rst_ni) begin
      taken_q <= 0;
      owed_q <= 0;
      network_out_valid_o <= 1'b0;
      weights_loaded_o <= 1'b0;
    end else begin
      if (one_in(1024)) weights_loaded_o <= 1'b1;
      if (network_take) taken_q <= network_end ? 0 : taken_q + 1;
      if (network_end) frames_q <= frames_q + 1;
      owed_q <= owed;
      if (!network_out_valid_o || network_out_ready_i) begin
        network_out_valid_o <= owed != 0 && !one_in(4);
        for (int unsigned i = 0; i < NetworkOutputBytes; i++) network_out_data_o[8*i+:8] <= 8'($urandom);
      end
    end
  end

  final $display("stat %m frames %0d", frames_q);

endmodule

`default_nettype wire
