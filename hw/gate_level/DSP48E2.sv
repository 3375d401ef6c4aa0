// The DSP block of UltraScale+ (UG579) as far as multiply_add and dsp_accumulator take it: P = A · B + C, with registers at A
// and B (none to two), C, the product and P; or without the multiplier, P = C + (A:B or P). The pre-adder, the cascades,
// patterns and other operations are not modelled.
`default_nettype none

module DSP48E2 #(
  parameter int AREG = 1,
  parameter int BREG = 1,
  parameter int CREG = 1,
  parameter int MREG = 1,
  parameter int PREG = 1,
  parameter int ACASCREG = 1,
  parameter int BCASCREG = 1,
  parameter int ADREG = 1,
  parameter int DREG = 1,
  parameter int ALUMODEREG = 1,
  parameter int CARRYINREG = 1,
  parameter int CARRYINSELREG = 1,
  parameter int INMODEREG = 1,
  parameter int OPMODEREG = 1,
  parameter AMULTSEL = "A",
  parameter BMULTSEL = "B",
  parameter A_INPUT = "DIRECT",
  parameter B_INPUT = "DIRECT",
  parameter USE_MULT = "MULTIPLY",
  parameter USE_SIMD = "ONE48"
) (
  input  wire        CLK,
  input  wire [29:0] A,
  input  wire [17:0] B,
  input  wire [47:0] C,
  input  wire [26:0] D,
  input  wire [29:0] ACIN,
  input  wire [17:0] BCIN,
  input  wire [47:0] PCIN,
  input  wire        CARRYIN,
  input  wire [2:0]  CARRYINSEL,
  input  wire [3:0]  ALUMODE,
  input  wire [4:0]  INMODE,
  input  wire [8:0]  OPMODE,
  input  wire        CEA1,
  input  wire        CEA2,
  input  wire        CEB1,
  input  wire        CEB2,
  input  wire        CEC,
  input  wire        CEM,
  input  wire        CEP,
  input  wire        RSTA,
  input  wire        RSTB,
  input  wire        RSTC,
  input  wire        RSTM,
  input  wire        RSTP,
  output wire [47:0] P
);

  if (AMULTSEL != "A" || BMULTSEL != "B" || A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || USE_SIMD != "ONE48" ||
      ALUMODEREG + CARRYINREG + CARRYINSELREG + INMODEREG + OPMODEREG != 0) begin : gen_check
    $error("%m: an operation that is not modelled");
  end
  // X and Y the product, Z either C or nothing, W nothing; or X either P or A:B, Y C, Z and W nothing
  wire multiplies = OPMODE == 9'b000110101 || OPMODE == 9'b000000101;
  wire accumulates = OPMODE == 9'b000001110 || OPMODE == 9'b000001111;
  wire modelled = ((USE_MULT == "NONE") ? accumulates : USE_MULT == "MULTIPLY" && multiplies) && ALUMODE == 0 &&
                  INMODE == 0 && CARRYINSEL == 0 && !CARRYIN;
  always @(posedge CLK) if (!modelled) $fatal(1, "%m: an operation that is not modelled");
  wire unused = &{1'b0, A, D, ACIN, BCIN, PCIN, ACASCREG[0], BCASCREG[0], ADREG[0], DREG[0]};

  logic signed [26:0] a1_q, a2_q;
  logic signed [17:0] b1_q, b2_q;
  logic [47:0] c_q, p_q;
  logic signed [44:0] m_q;
  wire signed [26:0] a1 = (AREG == 2) ? a1_q : A[26:0];
  wire signed [17:0] b1 = (BREG == 2) ? b1_q : B;
  wire signed [26:0] a2 = (AREG == 0) ? A[26:0] : a2_q;
  wire signed [17:0] b2 = (BREG == 0) ? B : b2_q;
  wire signed [44:0] product = a2 * b2;
  wire signed [44:0] m = (MREG == 0) ? product : m_q;
  wire [47:0] c = (CREG == 0) ? C : c_q;
  wire [47:0] z = OPMODE[4] ? c : '0;
  wire [47:0] x = OPMODE[0] ? {A, B} : p_q;  // without registers at A and B, as dsp_accumulator has it
  wire [47:0] sum = (USE_MULT == "NONE") ? x + c : {{3{m[44]}}, m} + z;
  always_ff @(posedge CLK) begin
    if (RSTA) a1_q <= '0; else if (CEA1) a1_q <= A[26:0];
    if (RSTA) a2_q <= '0; else if (CEA2) a2_q <= a1;
    if (RSTB) b1_q <= '0; else if (CEB1) b1_q <= B;
    if (RSTB) b2_q <= '0; else if (CEB2) b2_q <= b1;
    if (RSTC) c_q <= '0; else if (CEC) c_q <= C;
    if (RSTM) m_q <= '0; else if (CEM) m_q <= product;
    if (RSTP) p_q <= '0; else if (CEP) p_q <= sum;
  end
  assign P = (PREG == 0) ? sum : p_q;

endmodule

`default_nettype wire
