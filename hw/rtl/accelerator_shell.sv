// What stands between a network and a processor: registers over AXI4-Lite, streams from and to memory, a reset.
//
// Words from memory go to the network (core_in), words of the network to memory (core_out), each through a spill
// register: a word a cycle, no path from one side to the other. The shell counts them, and so knows the frames. It
// marks the last word of every BATCH-th output frame with out_last_o, which ends a transfer, and checks that in_last_i
// comes at the end of a frame only; a last word of which in_keep_i leaves out bytes ends before that.
//
// The network is held in reset by core_rst_no, which comes from a flip-flop: with rst_ni, while RESET is set, and for
// ResetCycles after either. Meanwhile no word is taken or offered, and one that was offered is withdrawn: whoever
// resets the network resets the DMA, too.
//
// rst_ni must be low for three cycles or more (proc_sys_reset gives 16): registers that follow others by a cycle have no
// reset of their own. After one cycle BATCH may be any number until it is written or RESET is set.
//
// Where the network loads weights (WeightWords > 0), words from memory go to its weight stream (weights) while LOAD is
// set, and are no frames: joined to 32 bits or split, the least significant first, at most 32 bits a cycle. in_last_i and
// in_keep_i mean nothing then. The network lets no frame pass before it has all its weights, and keeps what has come of
// them until RESET; what follows the last word is lost.
//
// Registers, by their address in bytes. Others, writes to those that are read only (RO), and values that a register
// does not have are answered with SLVERR.
//   00  ID             RO  41325131, "A2Q1"
//   04  VERSION        RO  of these registers: major, minor, 16 bits each
//   08  CONFIG0..3     RO  ConfigHash in four words, the most significant first
//   18  CONTROL            bit 0 RESET: holds the network in reset. Setting it clears all counters and sticky bits,
//                          makes BATCH 1 and frees LOCK; 1 LOAD: words from memory are weights. It stays 0 where the
//                          network loads none. Setting it while BUSY, or while a word of a frame is offered, is
//                          answered with SLVERR, unless with RESET
//   1C  STATUS         RO  bit 0 BUSY: a frame has begun to come in and has not left; 1 MISALIGNED: in_last_i came
//                          elsewhere than at the end of a frame, sticky; 2 OVERFLOW: any of OVERFLOW_FLAGS; 3 DEBUG;
//                          4 WEIGHTS_LOADED: all weights have come since the network was reset
//   20  BATCH              output frames a transfer, at least 1. Writing it starts a transfer with the next word
//   24  FRAMES_IN      RO  whole frames taken
//   28  FRAMES_OUT     RO  whole frames given
//   2C  LOCK               a read that finds it free gives 0 and takes it, one that finds it taken gives 1; 0 frees it
//   30  CYCLES_LO      RO  cycles while BUSY; a read keeps the upper half for CYCLES_HI
//   34  CYCLES_HI      RO
//   38  INPUT_STARVED  RO  cycles in which a word in the middle of a frame would have been taken and none was offered
//   3C  INPUT_STALLED  RO  cycles in which a word was offered and not taken
//   40  OUTPUT_STALLED RO  cycles in which a word was offered to memory and not taken
//   44  OVERFLOW_FLAGS RO  bit i: overflow_i[i] was high, sticky; bit 31 stands for all from 31 on
//   48  INPUT_WORDS    RO  words of an input frame
//   4C  OUTPUT_WORDS   RO  words of an output frame
//   50  WEIGHT_WORDS   RO  32-bit words of weights that the network loads, 0 where it loads none
// Counters have 32 bits, CYCLES 64, and wrap.
//
// InputBytes, OutputBytes:  bytes of a word of each stream, at least 1.
// InputWords, OutputWords:  words of a frame, at least 1.
// ConfigHash:               what says which network this is.
// OverflowFlags:            bits of overflow_i, at least 1.
// Debug:                    whether the network drives overflow_i.
// WeightWords:              32-bit words of weights that the network loads. 0: none, and what weights_* would bring is
//                           not read; else InputBytes is a power of two.
`default_nettype none

module accelerator_shell #(
  parameter int unsigned InputBytes = 4,
  parameter int unsigned OutputBytes = 4,
  parameter int unsigned InputWords = 16,
  parameter int unsigned OutputWords = 1,
  parameter bit [127:0] ConfigHash = '0,
  parameter int unsigned OverflowFlags = 1,
  parameter bit Debug = 1'b0,
  parameter int unsigned WeightWords = 0
) (
  input  wire                     clk_i,
  input  wire                     rst_ni,

  // registers
  input  wire [11:0]              awaddr_i,
  input  wire                     awvalid_i,
  output wire                     awready_o,
  input  wire [31:0]              wdata_i,
  input  wire [3:0]               wstrb_i,
  input  wire                     wvalid_i,
  output wire                     wready_o,
  output wire [1:0]               bresp_o,
  output wire                     bvalid_o,
  input  wire                     bready_i,
  input  wire [11:0]              araddr_i,
  input  wire                     arvalid_i,
  output wire                     arready_o,
  output wire [31:0]              rdata_o,
  output wire [1:0]               rresp_o,
  output wire                     rvalid_o,
  input  wire                     rready_i,

  // from memory
  input  wire                     in_valid_i,
  output wire                     in_ready_o,
  input  wire [InputBytes*8-1:0]  in_data_i,
  input  wire [InputBytes-1:0]    in_keep_i,
  input  wire                     in_last_i,

  // to memory
  output wire                     out_valid_o,
  input  wire                     out_ready_i,
  output wire [OutputBytes*8-1:0] out_data_o,
  output wire [OutputBytes-1:0]   out_keep_o,
  output wire                     out_last_o,

  // the network
  output wire                     core_rst_no,
  output wire                     core_in_valid_o,
  input  wire                     core_in_ready_i,
  output wire [InputBytes*8-1:0]  core_in_data_o,
  input  wire                     core_out_valid_i,
  output wire                     core_out_ready_o,
  input  wire [OutputBytes*8-1:0] core_out_data_i,
  input  wire [OverflowFlags-1:0] overflow_i,

  // its weights
  output wire                     weights_valid_o,
  input  wire                     weights_ready_i,
  output wire [31:0]              weights_data_o,
  input  wire                     weights_loaded_i
);

  if (InputBytes < 1 || OutputBytes < 1 || InputWords < 1 || OutputWords < 1) begin : gen_check_sizes
    $error("%m: InputBytes, OutputBytes, InputWords and OutputWords must be at least 1");
  end
  if (OverflowFlags < 1) begin : gen_check_flags
    $error("%m: OverflowFlags must be at least 1");
  end
  if (WeightWords > 0 && (InputBytes & (InputBytes - 1)) != 0) begin : gen_check_weights
    $error("%m: InputBytes must be a power of two where weights are loaded");
  end

  localparam bit [31:0] Id = 32'h4132_5131;
  localparam bit [31:0] Version = 32'h0001_0001;
  localparam int unsigned ResetCycles = 8;

  localparam bit [11:0] AddressId = 12'h000;
  localparam bit [11:0] AddressVersion = 12'h004;
  localparam bit [11:0] AddressConfig0 = 12'h008;
  localparam bit [11:0] AddressConfig1 = 12'h00C;
  localparam bit [11:0] AddressConfig2 = 12'h010;
  localparam bit [11:0] AddressConfig3 = 12'h014;
  localparam bit [11:0] AddressControl = 12'h018;
  localparam bit [11:0] AddressStatus = 12'h01C;
  localparam bit [11:0] AddressBatch = 12'h020;
  localparam bit [11:0] AddressFramesIn = 12'h024;
  localparam bit [11:0] AddressFramesOut = 12'h028;
  localparam bit [11:0] AddressLock = 12'h02C;
  localparam bit [11:0] AddressCyclesLo = 12'h030;
  localparam bit [11:0] AddressCyclesHi = 12'h034;
  localparam bit [11:0] AddressInputStarved = 12'h038;
  localparam bit [11:0] AddressInputStalled = 12'h03C;
  localparam bit [11:0] AddressOutputStalled = 12'h040;
  localparam bit [11:0] AddressOverflowFlags = 12'h044;
  localparam bit [11:0] AddressInputWords = 12'h048;
  localparam bit [11:0] AddressOutputWords = 12'h04C;
  localparam bit [11:0] AddressWeightWords = 12'h050;

  // -- the registers' port

  wire write, read;
  wire [11:0] write_address, read_address;
  wire [31:0] write_data;
  wire load_asked = WeightWords > 0 && write_data[1];
  wire frame_inside;
  wire write_accept;
  logic read_accept_q;
  wire [31:0] read_data;

  axi_lite_slave #(
    .AddressWidth(12)
  ) u_axi_lite_slave (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .awaddr_i(awaddr_i),
    .awvalid_i(awvalid_i),
    .awready_o(awready_o),
    .wdata_i(wdata_i),
    .wstrb_i(wstrb_i),
    .wvalid_i(wvalid_i),
    .wready_o(wready_o),
    .bresp_o(bresp_o),
    .bvalid_o(bvalid_o),
    .bready_i(bready_i),
    .araddr_i(araddr_i),
    .arvalid_i(arvalid_i),
    .arready_o(arready_o),
    .rdata_o(rdata_o),
    .rresp_o(rresp_o),
    .rvalid_o(rvalid_o),
    .rready_i(rready_i),
    .write_o(write),
    .write_address_o(write_address),
    .write_data_o(write_data),
    .write_accept_i(write_accept),
    .read_o(read),
    .read_address_o(read_address),
    .read_data_i(read_data),
    .read_accept_i(read_accept_q)
  );

  // what is written and read, decoded in the cycle before; a block is four registers
  logic to_control_q, to_batch_q, to_lock_q, high_zero_q, low_zero_q, low_one_q;
  logic from_lock_q, from_cycles_q, from_transfer_q, from_counted_q, from_other_q, known_q;
  always_ff @(posedge clk_i) begin
    to_control_q <= write_address == AddressControl;
    to_batch_q <= write_address == AddressBatch;
    to_lock_q <= write_address == AddressLock;
    high_zero_q <= write_data[31:16] == '0;
    low_zero_q <= write_data[15:0] == '0;
    low_one_q <= write_data[15:0] == 16'd1;
    from_lock_q <= read_address == AddressLock;
    from_cycles_q <= read_address == AddressCyclesLo;
    from_transfer_q <= read_address[11:4] == AddressBatch[11:4] && read_address[1:0] == '0;
    from_counted_q <= read_address[11:4] == AddressCyclesLo[11:4] && read_address[1:0] == '0;
    from_other_q <= read_address[11:7] == '0 && read_address[1:0] == '0;
    known_q <= read_address <= AddressWeightWords && read_address[1:0] == '0;
  end
  wire zero = high_zero_q && low_zero_q;
  wire reset_asked = write_data[0];
  wire accept_control = !(load_asked && !reset_asked && frame_inside);
  assign write_accept = (to_control_q && accept_control) || (to_batch_q && !zero) || (to_lock_q && zero);

  wire write_control = write && to_control_q && accept_control;
  wire write_lock = write && to_lock_q && zero;
  wire read_lock = read && from_lock_q;
  wire read_cycles = read && from_cycles_q;
  // a cycle later, where much hangs on it; a reset is accepted always
  logic clear_q, write_batch_q;
  always_ff @(posedge clk_i) begin
    clear_q <= write && to_control_q && reset_asked;
    write_batch_q <= write && to_batch_q && !zero;
  end

  // -- reset of the network and of all that is counted

  localparam int unsigned HoldWidth = $clog2(ResetCycles);
  logic reset_q, load_q, core_rst_nq;
  logic [HoldWidth-1:0] hold_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      reset_q <= 1'b0;
      load_q <= 1'b0;
      hold_q <= HoldWidth'(ResetCycles - 1);
      core_rst_nq <= 1'b0;
    end else begin
      if (write_control) begin
        reset_q <= reset_asked;
        load_q <= load_asked;
      end
      if (reset_q) hold_q <= HoldWidth'(ResetCycles - 1);
      else if (hold_q != '0) hold_q <= hold_q - 1'b1;
      core_rst_nq <= !reset_q && hold_q == '0;
    end
  end
  assign core_rst_no = core_rst_nq;

  // -- input

  localparam int unsigned InputCountWidth = (InputWords > 1) ? $clog2(InputWords) : 1;
  logic [InputCountWidth-1:0] in_word_q;
  logic in_inside_q, in_frame_end_q;  // in_word_q is not 0; it is the last of a frame
  logic misaligned_q;

  wire in_ready, load_ready;
  wire in_take = in_valid_i && in_ready && core_rst_nq && !load_q;
  assign in_ready_o = (load_q ? load_ready : in_ready) && core_rst_nq;

  spill_register #(
    .Width(InputBytes * 8)
  ) u_input (
    .clk_i(clk_i),
    .rst_ni(core_rst_nq),
    .in_valid_i(in_valid_i && !load_q),
    .in_ready_o(in_ready),
    .in_data_i(in_data_i),
    .out_valid_o(core_in_valid_o),
    .out_ready_i(core_in_ready_i),
    .out_data_o(core_in_data_o)
  );

  always_ff @(posedge clk_i) begin
    if (!core_rst_nq) begin
      in_word_q <= '0;
      in_inside_q <= 1'b0;
      in_frame_end_q <= InputWords == 1;
      misaligned_q <= 1'b0;
    end else if (in_take) begin
      in_word_q <= in_frame_end_q ? '0 : in_word_q + 1'b1;
      in_inside_q <= !in_frame_end_q;
      in_frame_end_q <= InputWords == 1 || in_word_q == InputCountWidth'(InputWords - 2);
      misaligned_q <= misaligned_q || (in_last_i && !(in_frame_end_q && &in_keep_i));
    end
  end

  // -- weights

  wire weights_loaded;
  if (WeightWords > 0) begin : gen_weights
    assign weights_loaded = weights_loaded_i;
    streaming_data_width_converter #(
      .InputWidth(InputBytes * 8),
      .OutputWidth(32)
    ) u_weights (
      .clk_i(clk_i),
      .rst_ni(core_rst_nq),
      .in_valid_i(in_valid_i && load_q),
      .in_ready_o(load_ready),
      .in_data_i(in_data_i),
      .out_valid_o(weights_valid_o),
      .out_ready_i(weights_ready_i),
      .out_data_o(weights_data_o)
    );
  end else begin : gen_no_weights
    wire unused_weights = &{1'b0, weights_ready_i, weights_loaded_i};
    assign load_ready = 1'b0;
    assign weights_loaded = 1'b0;
    assign weights_valid_o = 1'b0;
    assign weights_data_o = '0;
  end

  // -- output; a word takes its marks along, so that what is offered stays the same when BATCH is written

  localparam int unsigned OutputCountWidth = (OutputWords > 1) ? $clog2(OutputWords) : 1;
  logic [OutputCountWidth-1:0] out_word_q;
  logic core_frame_end_q;  // it is the last of a frame
  logic [31:0] batch_q, frames_left_q;  // frames_left_q: of the transfer, with the one that is coming out
  logic batch_one_q, last_frame_q;  // they are 1

  wire core_out_take = core_out_valid_i && core_out_ready_o;
  wire core_transfer_end = core_frame_end_q && last_frame_q;
  wire out_valid, out_frame_end;
  wire out_take = out_valid_o && out_ready_i;
  assign out_valid_o = out_valid && core_rst_nq;
  assign out_keep_o = '1;

  spill_register #(
    .Width(OutputBytes * 8 + 2)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(core_rst_nq),
    .in_valid_i(core_out_valid_i),
    .in_ready_o(core_out_ready_o),
    .in_data_i({core_transfer_end, core_frame_end_q, core_out_data_i}),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_data_o({out_last_o, out_frame_end, out_data_o})
  );

  always_ff @(posedge clk_i) begin
    if (!core_rst_nq) begin
      out_word_q <= '0;
      core_frame_end_q <= OutputWords == 1;
    end else if (core_out_take) begin
      out_word_q <= core_frame_end_q ? '0 : out_word_q + 1'b1;
      core_frame_end_q <= OutputWords == 1 || out_word_q == OutputCountWidth'(OutputWords - 2);
    end

    if (!rst_ni || clear_q) begin
      batch_q <= 32'd1;
      batch_one_q <= 1'b1;
      frames_left_q <= 32'd1;
      last_frame_q <= 1'b1;
    end else if (write_batch_q) begin
      batch_q <= write_data;
      batch_one_q <= high_zero_q && low_one_q;
      frames_left_q <= write_data;
      last_frame_q <= high_zero_q && low_one_q;
    end else if (core_rst_nq && core_out_take && core_frame_end_q) begin
      frames_left_q <= last_frame_q ? batch_q : frames_left_q - 1'b1;
      last_frame_q <= last_frame_q ? batch_one_q : frames_left_q == 32'd2;
    end
  end

  // -- what is counted

  logic [31:0] frames_in_q, frames_out_q, input_starved_q, input_stalled_q, output_stalled_q, cycles_hi_q;
  logic [63:0] cycles_q;
  logic [OverflowFlags-1:0] overflow_q;
  // of the cycle before: what is compared, and what is counted
  logic was_inside_q, taken_q, busy_q, low_differs_q, high_differs_q, starved_q, in_stalled_q, out_stalled_q;
  wire busy = was_inside_q || low_differs_q || high_differs_q;
  // or will be when a load could begin: a word that is offered may be taken; a reset takes cycles to empty the network
  assign frame_inside = (busy || taken_q || (in_valid_i && !load_q)) && core_rst_nq && !reset_q;

  always_ff @(posedge clk_i) begin
    was_inside_q <= in_inside_q;
    taken_q <= in_take;
    busy_q <= busy;
    low_differs_q <= frames_in_q[15:0] != frames_out_q[15:0];
    high_differs_q <= frames_in_q[31:16] != frames_out_q[31:16];
    starved_q <= in_inside_q && in_ready_o && !in_valid_i;
    in_stalled_q <= in_valid_i && !in_ready_o;
    out_stalled_q <= out_valid_o && !out_ready_i;
  end

  always_ff @(posedge clk_i) begin
    if (!core_rst_nq) begin
      frames_in_q <= '0;
      frames_out_q <= '0;
      input_starved_q <= '0;
      input_stalled_q <= '0;
      output_stalled_q <= '0;
      cycles_q <= '0;
      cycles_hi_q <= '0;
      overflow_q <= '0;
    end else begin
      if (in_take && in_frame_end_q) frames_in_q <= frames_in_q + 1'b1;
      if (out_take && out_frame_end) frames_out_q <= frames_out_q + 1'b1;
      if (starved_q) input_starved_q <= input_starved_q + 1'b1;
      if (in_stalled_q) input_stalled_q <= input_stalled_q + 1'b1;
      if (out_stalled_q) output_stalled_q <= output_stalled_q + 1'b1;
      if (busy_q) cycles_q <= cycles_q + 1'b1;
      if (read_cycles) cycles_hi_q <= cycles_q[63:32];
      overflow_q <= overflow_q | overflow_i;
    end
  end

  wire [31:0] overflow_flags;
  if (OverflowFlags > 32) begin : gen_merge_flags
    assign overflow_flags = {|overflow_q[OverflowFlags-1:31], overflow_q[30:0]};
  end else begin : gen_flags
    assign overflow_flags = 32'(overflow_q);
  end

  // -- a lock for programs that share the board; a read that takes it wins over a write that frees it already

  logic lock_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_q) lock_q <= 1'b0;
    else if (read_lock && !lock_q) lock_q <= 1'b1;
    else if (write_lock) lock_q <= 1'b0;
  end

  // -- what is read, in two steps: one of some registers each, then one of these

  logic [31:0] transfer_q, counted_q, other_q;  // 0 where it is none of them
  assign read_data = transfer_q | counted_q | other_q;

  always_ff @(posedge clk_i) begin
    read_accept_q <= known_q;

    if (!from_transfer_q) transfer_q <= '0;
    else
      case (read_address[3:2])
        AddressBatch[3:2]: transfer_q <= batch_q;
        AddressFramesIn[3:2]: transfer_q <= frames_in_q;
        AddressFramesOut[3:2]: transfer_q <= frames_out_q;
        AddressLock[3:2]: transfer_q <= {31'd0, lock_q};
        default: transfer_q <= '0;
      endcase

    if (!from_counted_q) counted_q <= '0;
    else
      case (read_address[3:2])
        AddressCyclesLo[3:2]: counted_q <= cycles_q[31:0];
        AddressCyclesHi[3:2]: counted_q <= cycles_hi_q;
        AddressInputStarved[3:2]: counted_q <= input_starved_q;
        AddressInputStalled[3:2]: counted_q <= input_stalled_q;
        default: counted_q <= '0;
      endcase

    if (!from_other_q) other_q <= '0;
    else
      case (read_address[6:2])
        AddressId[6:2]: other_q <= Id;
        AddressVersion[6:2]: other_q <= Version;
        AddressConfig0[6:2]: other_q <= ConfigHash[127:96];
        AddressConfig1[6:2]: other_q <= ConfigHash[95:64];
        AddressConfig2[6:2]: other_q <= ConfigHash[63:32];
        AddressConfig3[6:2]: other_q <= ConfigHash[31:0];
        AddressControl[6:2]: other_q <= {30'd0, load_q, reset_q};
        AddressStatus[6:2]: other_q <= {27'd0, weights_loaded, Debug, |overflow_q, misaligned_q, busy};
        AddressOutputStalled[6:2]: other_q <= output_stalled_q;
        AddressOverflowFlags[6:2]: other_q <= overflow_flags;
        AddressInputWords[6:2]: other_q <= 32'(InputWords);
        AddressOutputWords[6:2]: other_q <= 32'(OutputWords);
        AddressWeightWords[6:2]: other_q <= 32'(WeightWords);
        default: other_q <= '0;
      endcase
  end

endmodule

`default_nettype wire
