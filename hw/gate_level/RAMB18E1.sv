// The 18 Kb block RAM of 7-series (UG473); see block_ram. INIT and INITP hold INIT_00 and INITP_00 in their lowest bits.
`default_nettype none

module RAMB18E1 #(
  parameter bit [16383:0] INIT = '0,
  parameter bit [2047:0] INITP = '0,
  parameter bit [71:0] INIT_A = '0,
  parameter bit [71:0] INIT_B = '0,
  parameter bit [71:0] SRVAL_A = '0,
  parameter bit [71:0] SRVAL_B = '0,
  parameter int READ_WIDTH_A = 0,
  parameter int READ_WIDTH_B = 0,
  parameter int WRITE_WIDTH_A = 0,
  parameter int WRITE_WIDTH_B = 0,
  parameter WRITE_MODE_A = "WRITE_FIRST",
  parameter WRITE_MODE_B = "WRITE_FIRST",
  parameter RAM_MODE = "TDP",
  parameter int DOA_REG = 0,
  parameter int DOB_REG = 0
) (
  input  wire        CLKARDCLK,
  input  wire        CLKBWRCLK,
  input  wire        ENARDEN,
  input  wire        ENBWREN,
  input  wire        REGCEAREGCE,
  input  wire        REGCEB,
  input  wire        RSTRAMARSTRAM,
  input  wire        RSTRAMB,
  input  wire        RSTREGARSTREG,
  input  wire        RSTREGB,
  input  wire [13:0] ADDRARDADDR,
  input  wire [13:0] ADDRBWRADDR,
  input  wire [1:0]  WEA,
  input  wire [3:0]  WEBWE,
  input  wire [15:0] DIADI,
  input  wire [15:0] DIBDI,
  input  wire [1:0]  DIPADIP,
  input  wire [1:0]  DIPBDIP,
  output wire [15:0] DOADO,
  output wire [15:0] DOBDO,
  output wire [1:0]  DOPADOP,
  output wire [1:0]  DOPBDOP
);

  if (DOA_REG != 0 || DOB_REG != 0) begin : gen_check
    $error("%m: the output registers are not modelled");
  end
  wire unused = &{1'b0, REGCEAREGCE, REGCEB, RSTREGARSTREG, RSTREGB};

  // a word of 36 bits is read at port A and written at port B, over the data pins of both
  localparam bit WideRead = READ_WIDTH_A == 36;
  localparam bit WideWrite = WRITE_WIDTH_B == 36;
  wire [63:0] a_data, b_data;
  wire [7:0] a_parity, b_parity;
  assign DOADO = a_data[15:0];
  assign DOPADOP = a_parity[1:0];
  assign DOBDO = WideRead ? a_data[31:16] : b_data[15:0];
  assign DOPBDOP = WideRead ? a_parity[3:2] : b_parity[1:0];

  block_ram #(
    .Bytes(2048),
    .ReadWidthA(READ_WIDTH_A),
    .ReadWidthB(READ_WIDTH_B),
    .WriteWidthA(WRITE_WIDTH_A),
    .WriteWidthB(WRITE_WIDTH_B),
    .WriteModeA(WRITE_MODE_A),
    .WriteModeB(WRITE_MODE_B),
    .StartA(WideRead ? {INIT_B[17:16], INIT_A[17:16], INIT_B[15:0], INIT_A[15:0]} : INIT_A),
    .StartB(INIT_B),
    .ResetA(WideRead ? {SRVAL_B[17:16], SRVAL_A[17:16], SRVAL_B[15:0], SRVAL_A[15:0]} : SRVAL_A),
    .ResetB(SRVAL_B),
    .Init(INIT),
    .InitP(INITP)
  ) u_block_ram (
    .a_clk_i(CLKARDCLK),
    .a_en_i(ENARDEN),
    .a_rst_i(RSTRAMARSTRAM),
    .a_address_i({1'b0, ADDRARDADDR}),
    .a_write_i(8'(WEA)),
    .a_data_i(64'(DIADI)),
    .a_parity_i(8'(DIPADIP)),
    .a_data_o(a_data),
    .a_parity_o(a_parity),
    .b_clk_i(CLKBWRCLK),
    .b_en_i(ENBWREN),
    .b_rst_i(RSTRAMB),
    .b_address_i({1'b0, ADDRBWRADDR}),
    .b_write_i(8'(WEBWE)),
    .b_data_i(WideWrite ? 64'({DIBDI, DIADI}) : 64'(DIBDI)),
    .b_parity_i(WideWrite ? 8'({DIPBDIP, DIPADIP}) : 8'(DIPBDIP)),
    .b_data_o(b_data),
    .b_parity_o(b_parity)
  );

endmodule

`default_nettype wire
