// The UltraRAM of UltraScale+ as far as Yosys uses it (UG573): 4096 words of 72 bits, two ports of one clock, of which A goes
// first, byte enables; no output register, no cascade, no error correction, no sleep. It holds zeros at the start.
`default_nettype none

module URAM288 #(
  parameter BWE_MODE_A = "PARITY_INTERLEAVED",
  parameter BWE_MODE_B = "PARITY_INTERLEAVED",
  parameter EN_AUTO_SLEEP_MODE = "FALSE",
  parameter IREG_PRE_A = "FALSE",
  parameter IREG_PRE_B = "FALSE",
  parameter bit IS_CLK_INVERTED = 1'b0,
  parameter OREG_A = "FALSE",
  parameter OREG_B = "FALSE",
  parameter RST_MODE_A = "SYNC",
  parameter RST_MODE_B = "SYNC"
) (
  input  wire        CLK,
  input  wire        SLEEP,
  input  wire        EN_A,
  input  wire        EN_B,
  input  wire        RDB_WR_A,
  input  wire        RDB_WR_B,
  input  wire        RST_A,
  input  wire        RST_B,
  input  wire        INJECT_DBITERR_A,
  input  wire        INJECT_DBITERR_B,
  input  wire        INJECT_SBITERR_A,
  input  wire        INJECT_SBITERR_B,
  input  wire [22:0] ADDR_A,
  input  wire [22:0] ADDR_B,
  input  wire [8:0]  BWE_A,
  input  wire [8:0]  BWE_B,
  input  wire [71:0] DIN_A,
  input  wire [71:0] DIN_B,
  output wire [71:0] DOUT_A,
  output wire [71:0] DOUT_B
);

  localparam int unsigned Words = 4096;

  if (EN_AUTO_SLEEP_MODE != "FALSE" || IREG_PRE_A != "FALSE" || IREG_PRE_B != "FALSE" || OREG_A != "FALSE" ||
      OREG_B != "FALSE" || IS_CLK_INVERTED) begin : gen_check
    $error("%m: registers, sleep and an inverted clock are not modelled");
  end
  wire unused = &{1'b0, SLEEP, INJECT_DBITERR_A, INJECT_DBITERR_B, INJECT_SBITERR_A, INJECT_SBITERR_B, ADDR_A[22:12],
                  ADDR_B[22:12]};

  // the bits that the byte enables stand for: eight of data and, as BWE_MODE says, one of parity each, or the ninth all parity
  function automatic logic [71:0] enabled(logic [8:0] enables, logic interleaved);
    for (int unsigned i = 0; i < 8; i++) begin
      enabled[i*8+:8] = {8{enables[i]}};
      enabled[64+i] = interleaved ? enables[i] : enables[8];
    end
  endfunction
  wire [71:0] mask_a = enabled(BWE_A, BWE_MODE_A == "PARITY_INTERLEAVED");
  wire [71:0] mask_b = enabled(BWE_B, BWE_MODE_B == "PARITY_INTERLEAVED");

  logic [71:0] words[Words];
  logic [71:0] a_q, b_q;
  assign DOUT_A = (RST_MODE_A == "ASYNC" && RST_A) ? '0 : a_q;
  assign DOUT_B = (RST_MODE_B == "ASYNC" && RST_B) ? '0 : b_q;
  initial begin
    a_q = '0;
    b_q = '0;
    for (int unsigned i = 0; i < Words; i++) words[i] = '0;
  end

  // in the order of the ports: B sees what A has written, and A what was there before
  always @(posedge CLK) begin
    if (RST_A) a_q <= '0;
    else if (EN_A && !RDB_WR_A) a_q <= words[ADDR_A[11:0]];
    if (EN_A && RDB_WR_A) words[ADDR_A[11:0]] = (words[ADDR_A[11:0]] & ~mask_a) | (DIN_A & mask_a);
    if (RST_B) b_q <= '0;
    else if (EN_B && !RDB_WR_B) b_q <= words[ADDR_B[11:0]];
    if (EN_B && RDB_WR_B) words[ADDR_B[11:0]] = (words[ADDR_B[11:0]] & ~mask_b) | (DIN_B & mask_b);
  end

endmodule

`default_nettype wire
